use super::*;
use crate::{
    status::TextStatus,
    tables::dice,
    tables::texts::{OptionalColumns, Scored, embedding},
};
use arrow::{
    array::BooleanArray,
    datatypes::{Float32Type, UInt64Type},
};
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

fn scored(dice: &mut StdRng) -> Option<Scored> {
    dice.random_bool(0.7).then(|| Scored {
        itm: dice.random(),
        itc: dice.random_range(-1.0..=1.0),
        clip: None,
        kept: dice.random(),
    })
}

fn words(dice: &mut StdRng) -> String {
    let words = ["a", "dog", "", "naïve", "雪", "\u{0}"];
    (0..dice.random_range(0..4)).filter_map(|_| words.choose(dice)).copied().collect()
}

fn maybe<T>(dice: &mut StdRng, value: impl FnOnce(&mut StdRng) -> T) -> Option<T> {
    dice.random_bool(0.6).then(|| value(dice))
}

fn text(dice: &mut StdRng) -> LedgerText {
    LedgerText {
        source: (*["caption", "json[alt]", "synthetic"].choose(dice).unwrap()).into(),
        text: maybe(dice, words),
        status: *TextStatus::ALL.choose(dice).unwrap(),
        scored: scored(dice),
        language: maybe(dice, words),
        repetition: maybe(dice, StdRng::random),
        embedding: None,
    }
}

fn row(dice: &mut StdRng) -> LedgerRow {
    LedgerRow {
        key: maybe(dice, words),
        file: words(dice),
        row: dice.random(),
        member: maybe(dice, words),
        image_sha256: maybe(dice, StdRng::random),
        image_hash: maybe(dice, StdRng::random),
        image_embedding: None,
        width: maybe(dice, StdRng::random),
        height: maybe(dice, StdRng::random),
        status: *RowStatus::ALL.choose(dice).unwrap(),
        texts: (0..dice.random_range(0..4)).map(|_| text(dice)).collect(),
        control_itm: maybe(dice, StdRng::random),
        control_clip: None,
        detail: maybe(dice, words),
    }
}

#[test]
fn rows_come_back_as_they_were_encoded() {
    let mut dice = dice();
    for _ in 0..50 {
        let rows: Vec<LedgerRow> = (0..dice.random_range(0..20)).map(|_| row(&mut dice)).collect();
        let batch = batch(&rows).unwrap();
        assert_eq!(super::rows(&batch).unwrap(), rows);
        // A batch that a reader cut from a larger one has the offsets of the larger one.
        let from = dice.random_range(0..=rows.len());
        let rest = batch.slice(from, rows.len() - from);
        assert_eq!(super::rows(&rest).unwrap(), rows[from..]);
    }
}

#[test]
fn vectors_come_back_in_half_precision_and_only_where_there_are_some() {
    let mut dice = dice();
    let vector = |dice: &mut StdRng| maybe(dice, |dice| embedding(&[dice.random(), -1.0, 0.0]));
    let mut rows: Vec<LedgerRow> = (0..20).map(|_| row(&mut dice)).collect();
    for row in &mut rows {
        row.image_embedding = vector(&mut dice);
        row.texts.iter_mut().for_each(|text| text.embedding = vector(&mut dice));
    }
    let batch = batch_with(&rows, OptionalColumns { embeddings: Some(3), clip: false }).unwrap();
    assert_eq!(super::rows(&batch).unwrap(), rows);
    assert_eq!(super::rows(&batch.slice(5, 10)).unwrap(), rows[5..15]);
    assert!(
        super::super::first_lacking(&schema(), &batch.schema()).is_none(),
        "readers of plain ledgers read it"
    );
    assert_eq!(schema_with(OptionalColumns::default()), schema());
}

#[test]
fn clip_scores_come_back_with_and_without_vectors_and_readers_of_plain_ledgers_read_them() {
    let mut dice = dice();
    let mut rows: Vec<LedgerRow> = (0..20).map(|_| row(&mut dice)).collect();
    rows.iter_mut().for_each(|row| row.control_clip = row.control_itm.map(|itm| 100.0 * itm));
    for text in rows.iter_mut().flat_map(|row| &mut row.texts) {
        let clip = maybe(&mut dice, |dice| dice.random_range(-100.0..=100.0));
        text.scored.iter_mut().for_each(|scored| scored.clip = clip);
    }
    for embeddings in [None, Some(2)] {
        let batch = batch_with(&rows, OptionalColumns { embeddings, clip: true }).unwrap();
        assert_eq!(super::rows(&batch).unwrap(), rows);
        assert_eq!(super::rows(&batch.slice(5, 10)).unwrap(), rows[5..15]);
        assert!(super::super::first_lacking(&schema(), &batch.schema()).is_none());
    }
    let plain = super::rows(&batch(&rows).unwrap()).unwrap();
    assert!(plain.iter().flat_map(|row| &row.texts).all(|text| text.scored.is_none_or(|s| s.clip.is_none())));
    assert!(plain.iter().all(|row| row.control_clip.is_none()));
}

#[test]
fn an_unknown_status_or_a_malformed_digest_is_an_error() {
    let with = |column: &str, cell: &str| {
        let batch = batch(&[LedgerRow::missing("a.parquet", 3)]).unwrap();
        let mut columns = batch.columns().to_vec();
        columns[schema().index_of(column).unwrap()] = Arc::new(StringArray::from(vec![cell]));
        rows(&RecordBatch::try_new(schema(), columns).unwrap()).unwrap_err()
    };
    assert_eq!(with("status", "judgd"), "unknown status `judgd`");
    assert!(with("image_sha256", "00").contains("`00` is not a SHA-256"));
}

/// A ledger of version 1 with one judged row.
fn earlier() -> RecordBatch {
    let texts = |cell: Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![cell])) };
    let score = |value: f32| -> ArrayRef { Arc::new(Float32Array::from(vec![value])) };
    let schema = version_1::schema();
    let DataType::List(item) = schema.field_with_name("synthetic").unwrap().data_type().clone() else {
        panic!("captions are a list")
    };
    let DataType::Struct(fields) = item.data_type().clone() else { panic!("a caption is a struct") };
    let mut captions = ListBuilder::new(StructBuilder::from_fields(fields, 2)).with_field(item);
    for (text, itm) in [("a dog", Some(0.75)), ("!", None)] {
        let item = captions.values();
        field::<StringBuilder>(item, 0).append_value(text);
        field::<Float32Builder>(item, 1).append_option(itm);
        field::<Float32Builder>(item, 2).append_option(itm);
        field::<BooleanBuilder>(item, 3).append_value(itm.is_some());
        item.append(true);
    }
    captions.append(true);
    let columns: Vec<ArrayRef> = vec![
        texts(Some("k")),
        texts(Some("a.parquet")),
        Arc::new(arrow::array::PrimitiveArray::<UInt64Type>::from(vec![3])),
        texts(None),
        Arc::new(UInt32Array::from(vec![4])),
        Arc::new(UInt32Array::from(vec![5])),
        texts(Some("judged")),
        texts(Some("A cat.")),
        texts(Some("judged")),
        score(0.25),
        score(0.5),
        Arc::new(BooleanArray::from(vec![false])),
        Arc::new(captions.finish()),
        Arc::new(arrow::array::PrimitiveArray::<Float32Type>::from(vec![None])),
        texts(None),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

#[test]
fn a_ledger_of_version_1_is_read_in_the_shape_of_this_version() {
    let batch = earlier();
    assert!(is_version_1(&batch.schema()) && !is_version_1(&schema()));
    let read = rows(&batch).unwrap().remove(0);
    let text = |source: &str, text: &str, status, scored| LedgerText {
        scored,
        ..LedgerText::new(source.into(), Some(text.to_owned()), status)
    };
    let expected = [
        text(
            "web",
            "A cat.",
            TextStatus::Judged,
            Some(Scored { itm: 0.25, itc: 0.5, clip: None, kept: false }),
        ),
        text(
            "synthetic",
            "a dog",
            TextStatus::Judged,
            Some(Scored { itm: 0.75, itc: 0.75, clip: None, kept: true }),
        ),
        text("synthetic", "!", TextStatus::Empty, None),
    ];
    assert_eq!(read.texts, expected);
    assert_eq!((read.row, read.width, read.height, read.member), (3, Some(4), Some(5), None));
}
