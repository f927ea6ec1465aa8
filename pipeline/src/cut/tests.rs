use super::*;
use arrow::array::StringArray;
use capfilt_schemas::{
    ledger::LedgerRow,
    status::{RowStatus, TextStatus},
    texts::{LedgerText, OptionalColumns, Scored},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// A judged row; each text is its source, its words and P(match).
fn row(texts: &[(&str, &str, Option<f32>)]) -> LedgerRow {
    let text = |(source, text, itm): &(&str, &str, Option<f32>)| {
        let status = if itm.is_some() { TextStatus::Judged } else { TextStatus::Empty };
        let scored = itm.map(|itm| Scored { itm, itc: 0.0, clip: None, kept: false });
        LedgerText { scored, ..LedgerText::new((*source).into(), Some((*text).to_owned()), status) }
    };
    LedgerRow {
        status: RowStatus::Judged,
        width: Some(300),
        height: Some(200),
        control_itm: Some(0.25),
        texts: texts.iter().map(text).collect(),
        ..LedgerRow::missing("a.parquet", 0)
    }
}

fn rules(condition: Option<&str>) -> Rules {
    let thresholds = [("alt", 0.5), ("synthetic", 0.25)];
    Rules {
        thresholds: thresholds.map(|(source, least)| (source.to_owned(), least)).into(),
        clip_thresholds: Default::default(),
        keep: [("synthetic".to_owned(), 1)].into(),
        condition: condition.map(str::to_owned),
    }
}

/// Kept texts of each row.
fn kept(rules: Rules, rows: &[LedgerRow]) -> Vec<Vec<String>> {
    let cut = Cut::new(rules).unwrap();
    let decided = cut.apply(ledger::batch(rows).unwrap()).unwrap();
    let texts = |row: LedgerRow| row.kept().filter_map(|text| text.text.clone()).collect();
    ledger::rows(&decided).unwrap().into_iter().map(texts).collect()
}

#[test]
fn a_text_is_kept_by_the_threshold_and_the_number_of_its_source() {
    let rows = [
        row(&[("alt", "a", Some(0.5)), ("alt", "b", Some(0.49)), ("alt", "c", None)]),
        row(&[("synthetic", "d", Some(0.3)), ("alt", "e", Some(0.9)), ("synthetic", "f", Some(0.4))]),
        row(&[]),
        row(&[("unknown", "g", Some(1.0)), ("synthetic", "h", Some(0.24))]),
    ];
    assert_eq!(kept(rules(None), &rows), [vec!["a"], vec!["e", "f"], vec![], vec![]]);
}

#[test]
fn a_condition_excludes_a_text_before_the_best_are_counted() {
    let rows = [row(&[("synthetic", "one two three", Some(0.3)), ("synthetic", "one", Some(0.9))])];
    let with = |condition: &str| kept(rules(Some(condition)), &rows);
    assert_eq!(with("words >= 3"), [vec!["one two three"]]);
    assert_eq!(with("characters < 4 and width = 300 and file = 'a.parquet'"), [vec!["one"]]);
    assert_eq!(with("source = 'alt'"), [Vec::<String>::new()]);
    assert_eq!(with("language is not null"), [Vec::<String>::new()], "an unknown comparison is not true");
    assert_eq!(with("itm < 0.5 or text = 'none'"), [vec!["one two three"]]);
    assert_eq!(with("control_itm = 0.25"), [vec!["one"]]);
}

#[test]
fn a_condition_on_an_unknown_column_or_of_another_type_is_refused_with_the_columns() {
    let error = |condition: &str| Cut::new(rules(Some(condition))).unwrap_err().to_string();
    assert!(error("wrds > 3").contains("names `wrds`") && error("wrds > 3").contains("words, characters"));
    assert!(error("words = 'a'").contains("column `words` is UInt32"), "{}", error("words = 'a'"));
    assert!(error("words >").contains("expected"));
}

#[test]
fn a_decision_on_the_deciding_columns_equals_that_on_all_and_a_slice_equals_the_whole() {
    let seed = 7;
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let text = |dice: &mut StdRng| {
        let source = ["alt", "synthetic"][dice.random_range(0..2)];
        (source, ["a", "b c d"][dice.random_range(0..2)], dice.random_bool(0.8).then(|| dice.random::<f32>()))
    };
    let rows: Vec<LedgerRow> = (0..200)
        .map(|_| row(&(0..dice.random_range(0..5)).map(|_| text(&mut dice)).collect::<Vec<_>>()))
        .collect();
    let cut = Cut::new(rules(Some("words > 1 or itm > 0.7"))).unwrap();
    let batch = ledger::batch(&rows).unwrap();
    let whole = ledger::rows(&cut.apply(batch.clone()).unwrap()).unwrap();
    let slice = ledger::rows(&cut.apply(batch.slice(50, 100)).unwrap()).unwrap();
    assert_eq!(slice, whole[50..150]);
    let kept: usize = whole.iter().map(|row| row.kept().count()).sum();
    assert_eq!(cut.kept(&batch).unwrap().true_count(), kept);
    for (row, decided) in rows.iter().zip(&whole) {
        let mut plain = row.clone();
        for source in ["alt", "synthetic"] {
            let of = |text: &&mut LedgerText| &*text.source == source;
            let allowed = |text: &LedgerText| {
                let itm = text.scored?.itm;
                (text.text.as_deref() == Some("b c d") || itm > 0.7).then_some(itm)
            };
            let itm: Vec<Option<f32>> = plain.texts.iter_mut().filter(of).map(|text| allowed(text)).collect();
            let keep = (source == "synthetic").then_some(1);
            let decided = verdicts(&itm, if source == "alt" { 0.5 } else { 0.25 }, keep);
            for (text, kept) in plain.texts.iter_mut().filter(of).zip(decided) {
                text.scored.iter_mut().for_each(|scored| scored.kept = kept);
            }
        }
        assert_eq!(*decided, plain);
    }
}

#[test]
fn the_score_of_a_rank_is_exact() {
    let seed = 8;
    println!("seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let mut all: Vec<f32> = (0..5000).map(|_| dice.random::<f32>().powi(8)).chain([0.0, 1.0, 1.0]).collect();
    let rows: Vec<LedgerRow> = all.iter().map(|itm| row(&[("alt", "a", Some(*itm))])).collect();
    let batch = ledger::batch(&rows).unwrap();
    all.sort_by(|a, b| b.total_cmp(a));
    let tail = Tail::Source("alt".to_owned());
    let mut scores = Scores::default();
    [batch.slice(0, 3000), batch.slice(3000, 2003)].iter().for_each(|part| scores.add(part));
    assert_eq!((scores.count(&tail), scores.count(&Tail::Control)), (5003, 5003));
    for rank in [0, 1, 2, 700, 2500, 5001, 5002] {
        let mut refined = scores.refine(&[(tail.clone(), rank), (Tail::Control, rank)]);
        let mut other = refined.clone();
        refined.add(&batch.slice(0, 3000));
        other.add(&batch.slice(3000, 2003));
        refined.merge(&other);
        assert_eq!(refined.score(&tail), Some(all[rank as usize]), "rank {rank}");
        assert_eq!(refined.score(&Tail::Control), Some(0.25));
    }
    assert_eq!(scores.refine(&[(tail.clone(), 5003)]).score(&tail), None);
}

#[test]
fn columns_that_are_not_read_are_not_needed() {
    let batch = ledger::batch(&[row(&[("alt", "a", Some(0.6))])]).unwrap();
    let lists = texts(&batch);
    let items = lists.values().as_struct();
    let field = |name: &str| {
        (items.fields().find(name).unwrap().1.clone(), items.column_by_name(name).unwrap().clone())
    };
    let (fields, columns): (Vec<_>, Vec<_>) = ["source", "itm", "status"].map(field).into_iter().unzip();
    let items = StructArray::try_new(fields.into(), columns, None).unwrap();
    let item = Arc::new(arrow::datatypes::Field::new("item", items.data_type().clone(), false));
    let list = ListArray::try_new(item, lists.offsets().clone(), Arc::new(items), None).unwrap();
    let columns: [(&str, ArrayRef); 2] =
        [("status", Arc::new(StringArray::from(vec!["judged"]))), ("texts", Arc::new(list))];
    let projected = RecordBatch::try_from_iter(columns).unwrap();
    assert_eq!(Cut::new(rules(None)).unwrap().kept(&projected).unwrap().true_count(), 1);
    assert!(Cut::new(rules(Some("words > 1"))).unwrap().kept(&projected).is_err());
}

#[test]
fn a_clip_threshold_drops_a_text_before_the_best_are_counted_and_a_condition_may_name_the_score() {
    let mut rows =
        [row(&[("alt", "a", Some(0.9)), ("synthetic", "b", Some(0.9)), ("synthetic", "c", Some(0.8))])];
    let clips = [Some(28.0), Some(20.0), Some(30.0)];
    for (text, clip) in rows[0].texts.iter_mut().zip(clips) {
        text.scored.iter_mut().for_each(|scored| scored.clip = clip);
    }
    let optional = OptionalColumns { embeddings: None, clip: true };
    let kept = |rules: Rules| {
        let cut = Cut::new(rules).unwrap();
        let batch = ledger::batch_with(&rows, optional).unwrap();
        let decided = ledger::rows(&cut.apply(batch).unwrap()).unwrap();
        decided[0].kept().filter_map(|text| text.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kept(rules(None)), ["a", "b"]);
    let clip_thresholds = [("alt".to_owned(), 28.0), ("synthetic".to_owned(), 25.0)];
    let strict = Rules { clip_thresholds: clip_thresholds.into(), ..rules(None) };
    assert_eq!(kept(strict.clone()), ["a", "c"]);
    assert!(Cut::new(strict.clone()).unwrap().leaves().contains(&"texts.list.item.clip".to_owned()));
    assert_eq!(kept(rules(Some("clip < 25"))), ["b"]);
    let without = Cut::new(strict).unwrap().kept(&ledger::batch(&rows).unwrap()).unwrap();
    assert_eq!(without.true_count(), 0, "a text without a score does not reach a threshold");
}
