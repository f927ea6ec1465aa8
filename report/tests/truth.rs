//! The promise that precision and recall are those of a count by hand over rows whose truth is known.

use crate::support::{Row, World, judged};
use arrow::array::{ArrayRef, BooleanArray, BooleanBuilder, ListBuilder, RecordBatch, StringArray};
use capfilt_report::{
    Options, ReportError, TruthTable,
    statistics::{self, TruthRates},
};
use capfilt_schemas::verdict::verdicts;
use parquet::arrow::ArrowWriter;
use std::{path::PathBuf, sync::Arc};

const ROWS: u64 = 200;

/// Two texts of the input and three captions, with scores that follow from the number of the row.
fn row(number: u64) -> Row {
    let score = |factor: u64| (number * factor % 101) as f32 / 100.0;
    let mut made = judged(number, &[("caption", "a", score(7)), ("alt", "b", score(11))]);
    for factor in [13, 17, 19] {
        made.texts.push(("synthetic".to_owned(), "c".to_owned(), Some(score(factor))));
    }
    // A text that is not judged has a truth, which is in no rate.
    if number.is_multiple_of(10) {
        made.texts[0].2 = None;
    }
    made
}

/// Truth of the texts of a row; `None` if unknown.
fn truth(number: u64) -> [Option<bool>; 4] {
    let of = |part: u64| (number % 7 != part).then_some((number / part).is_multiple_of(2));
    [of(1), of(2), of(3), of(4)]
}

async fn job() -> World {
    let settings = ["input.text=[\"caption\", \"alt\"]", "captioner.keep=1", "captioner.captions=3"];
    let world = World::new(&settings);
    let blank: Vec<Row> = (0..ROWS).map(|number| judged(number, &[])).collect();
    world.write_input("a.parquet", &blank, 50);
    world.finish(|_, number| row(number), |_| ()).await;
    world
}

/// Writes a table of these rows: the truth of `caption` as booleans under another name, that of captions as
/// lists. Some keys are not in the job.
fn write(world: &World, rows: impl Iterator<Item = u64> + Clone, captions: usize) -> PathBuf {
    let path = world.folder.path().join("truth.parquet");
    let mut lists = ListBuilder::new(BooleanBuilder::new());
    rows.clone().for_each(|number| lists.append_value(truth(number)[1..=captions].to_vec()));
    let keys = rows.clone().map(|number| format!("k{number}"));
    let columns: [(&str, ArrayRef); 3] = [
        ("key", Arc::new(StringArray::from_iter_values(keys))),
        ("is right", Arc::new(BooleanArray::from_iter(rows.map(|number| truth(number)[0])))),
        ("synthetic", Arc::new(lists.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

fn options(path: PathBuf) -> Options {
    let columns = vec![("caption".to_owned(), "is right".to_owned())];
    Options { seed: 0, truth: Some(TruthTable { path, columns }) }
}

/// Counts by hand: the texts of the source with P(match), verdict at a threshold, and truth.
fn counted(world: &World, positions: &[f64], source: &str) -> TruthRates {
    let keep = world.settings.captioner.keep.filter(|_| source == "synthetic");
    let at = |threshold: f64| {
        let (mut known, mut are_true, mut kept, mut kept_true) = (0, 0, 0, 0);
        for number in 50..ROWS {
            let row = row(number);
            let of = row.texts.iter().filter(|text| text.0 == source);
            let scores: Vec<Option<f32>> = of.map(|text| text.2).collect();
            let truths = if source == "caption" { &truth(number)[..1] } else { &truth(number)[1..] };
            let all = scores.iter().zip(verdicts(&scores, threshold, keep)).zip(truths);
            for ((_, is_kept), is_true) in
                all.filter_map(|((score, kept), truth)| Some(((*score)?, kept)).zip(*truth))
            {
                known += 1;
                are_true += u64::from(is_true);
                kept += u64::from(is_kept);
                kept_true += u64::from(is_kept && is_true);
            }
        }
        (known, are_true, kept, kept_true)
    };
    let (known, are_true, kept, kept_true) = at(world.settings.filter.threshold(source));
    let kept_at = positions.iter().map(|position| at(*position).2).collect();
    let kept_true_at = positions.iter().map(|position| at(*position).3).collect();
    TruthRates { known, are_true, kept, kept_true, kept_at, kept_true_at }
}

#[tokio::test]
async fn precision_and_recall_equal_a_count_by_hand_at_every_position() {
    let world = job().await;
    let path = write(&world, 50..ROWS + 20, 3);
    let found = statistics::read(&world.bucket(), &options(path)).await.unwrap();
    for source in &found.sources {
        let Some(truth) = &source.truth else {
            assert_eq!(source.source, "alt");
            continue;
        };
        assert_eq!(*truth, counted(&world, found.positions.positions(), &source.source), "{}", source.source);
        let precision = truth.kept_true as f64 / truth.kept as f64;
        assert_eq!(truth.precision_at(source.position), Some(precision));
        assert_eq!(truth.recall_at(source.position), Some(truth.kept_true as f64 / truth.are_true as f64));
    }
    let without = statistics::read(&world.bucket(), &Options::default()).await.unwrap();
    assert!(without.sources.iter().all(|source| source.truth.is_none()));
}

#[tokio::test]
async fn truths_that_do_not_fit_the_rows_are_refused() {
    let world = job().await;
    let why = async |options: &Options| match statistics::read(&world.bucket(), options).await {
        Err(ReportError::Truth(error)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let path = write(&world, 0..ROWS, 2);
    assert!(why(&options(path)).await.contains("has 2 truths in `synthetic` for 3 texts"));
    let path = write(&world, (0..10).chain(5..7), 3);
    assert!(why(&options(path)).await.contains("two rows have the key \"k5\""));
    let path = write(&world, ROWS..ROWS + 5, 3);
    assert!(why(&options(path)).await.contains("the truth of no judged text"));
    let nothing = world.folder.path().join("nothing.parquet");
    assert!(why(&options(nothing)).await.contains("nothing.parquet"));
}
