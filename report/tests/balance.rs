//! The promise that a report fails when the ledgers do not have the counts of the job's records.

use crate::support::{Row, World, judged};
use capfilt_report::{Options, ReportError, statistics};
use capfilt_schemas::status::RowStatus;

fn blank() -> Vec<Row> {
    (0..20).map(|number| judged(number, &[])).collect()
}

fn row(number: u64) -> Row {
    judged(number, &[("caption", "a dog", 0.8), ("synthetic", "a cat", 0.2)])
}

#[tokio::test]
async fn a_tally_that_the_ledgers_do_not_have_ends_the_report() {
    let world = World::new(&[]);
    world.write_input("a.parquet", &blank(), 20);
    let swap = |tally: &mut capfilt_schemas::tally::Tally| {
        tally.texts.get_mut("caption").unwrap().kept -= 1;
        tally.texts.get_mut("synthetic").unwrap().kept += 1;
    };
    world.finish(|_, number| row(number), swap).await;
    let error = statistics::read(&world.bucket(), &Options::default()).await.unwrap_err();
    assert!(matches!(error, ReportError::Unbalanced { record: "commits", .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("20 kept texts and 0 kept synthetic captions instead of"), "{text}");
    assert!(text.contains("capfilt verify --job"), "{text}");
}

#[tokio::test]
async fn a_sound_job_balances_with_rows_of_every_status() {
    let world = World::new(&[]);
    world.write_input("a.parquet", &blank(), 20);
    let of =
        |number: u64| Row { status: RowStatus::ALL[number as usize % RowStatus::ALL.len()], ..row(number) };
    world.finish(|_, number| of(number), |_| ()).await;
    let statistics = statistics::read(&world.bucket(), &Options::default()).await.unwrap();
    assert_eq!((statistics.rows, statistics.tally.pairs), (20, statistics.tally.judged()));
    assert_eq!(statistics.manifest, Some(0));
}
