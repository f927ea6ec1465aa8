use super::*;
use crate::tables::dice;
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

fn scored(dice: &mut StdRng) -> Option<Scored> {
    dice.random_bool(0.7).then(|| Scored {
        itm: dice.random(),
        itc: dice.random_range(-1.0..=1.0),
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

fn row(dice: &mut StdRng) -> LedgerRow {
    LedgerRow {
        key: maybe(dice, words),
        file: words(dice),
        row: dice.random(),
        image_sha256: maybe(dice, StdRng::random),
        width: maybe(dice, StdRng::random),
        height: maybe(dice, StdRng::random),
        status: *RowStatus::ALL.choose(dice).unwrap(),
        web_text: maybe(dice, words),
        web_status: *WebStatus::ALL.choose(dice).unwrap(),
        web_score: scored(dice),
        synthetic: (0..dice.random_range(0..4))
            .map(|_| SyntheticText { text: words(dice), scored: scored(dice) })
            .collect(),
        control_itm: maybe(dice, StdRng::random),
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
fn an_unknown_status_or_a_malformed_digest_is_an_error() {
    let with = |column: &str, cell: &str| {
        let batch = batch(&[LedgerRow::missing("a.parquet", 3)]).unwrap();
        let mut columns = batch.columns().to_vec();
        columns[schema().index_of(column).unwrap()] = Arc::new(StringArray::from(vec![cell]));
        rows(&RecordBatch::try_new(schema(), columns).unwrap()).unwrap_err()
    };
    assert_eq!(with("status", "judgd"), "unknown status `judgd`");
    assert_eq!(with("web_status", "x"), "unknown status `x`");
    assert!(with("image_sha256", "00").contains("`00` is not a SHA-256"));
}
