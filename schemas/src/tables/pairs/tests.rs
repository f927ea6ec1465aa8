use super::*;
use crate::tables::dice;
use arrow::array::Int64Array;
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

const WORDS: [&str; 5] = ["a dog", "", "naïve", "雪", "web"];

/// Columns of a job with CLIP.
const ALL: OptionalColumns = OptionalColumns { embeddings: None, clip: true };

fn maybe_score(dice: &mut StdRng) -> Option<f32> {
    dice.random_bool(0.6).then(|| dice.random_range(-100.0..=100.0))
}

fn row(dice: &mut StdRng) -> PairsRow<'static> {
    let maybe = |dice: &mut StdRng| dice.random_bool(0.6).then(|| *WORDS.choose(dice).unwrap());
    let text = |dice: &mut StdRng| PairsText {
        source: ["alt_text", "synthetic"].choose(dice).unwrap(),
        text: WORDS.choose(dice).unwrap(),
        itm: dice.random(),
        itc: Some(dice.random()),
        clip: maybe_score(dice),
    };
    PairsRow {
        key: maybe(dice),
        image: maybe(dice).map(str::as_bytes),
        path: maybe(dice).map(Cow::Borrowed),
        width: dice.random(),
        height: dice.random(),
        texts: (0..dice.random_range(1..4)).map(|_| text(dice)).collect(),
    }
}

#[test]
fn rows_come_back_as_they_were_encoded() {
    let mut dice = dice();
    let schema = schema(&[Field::new("likes", DataType::Int64, false)], ALL);
    for _ in 0..50 {
        let rows: Vec<PairsRow> = (0..dice.random_range(0..20)).map(|_| row(&mut dice)).collect();
        let likes: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows.len() as i64));
        let batch = batch(&schema, &rows, &[Arc::clone(&likes)]).unwrap();
        assert!(super::rows(&batch, Version::Two).eq(rows.iter().cloned()));
        assert_eq!(batch.column_by_name("likes"), Some(&likes));
        let from = dice.random_range(0..=rows.len());
        let rest = batch.slice(from, rows.len() - from);
        assert!(super::rows(&rest, Version::Two).eq(rows[from..].iter().cloned()));
    }
}

#[test]
fn a_table_without_clip_has_the_columns_of_before() {
    let mut dice = dice();
    let rows: Vec<PairsRow> = (0..20).map(|_| row(&mut dice)).collect();
    let plain = schema(&[], OptionalColumns::default());
    let found = batch(&plain, &rows, &[]).unwrap();
    assert_eq!(found.schema(), plain);
    let clips = super::rows(&found, Version::Two).flat_map(|row| row.texts).map(|text| text.clip);
    assert!(clips.into_iter().all(|clip| clip.is_none()));
}

#[test]
fn the_metadata_decides_the_version_and_not_a_pass_through_column_of_that_name() {
    let passed = Field::new("captions", DataType::Utf8, true);
    assert_eq!(Version::of(&schema(&[passed], OptionalColumns::default())), Version::Two);
    let metadata = HashMap::from([(VERSION_KEY.to_owned(), "1".to_owned())]);
    let first = Version::One.schema().as_ref().clone().with_metadata(metadata);
    assert_eq!(Version::of(&first), Version::One);
    assert!(first.column_with_name(Version::One.texts()).is_some());
}
