//! `capfilt demo --truth`: accuracy of a job's verdicts on the demo's pictures.

use crate::args::DemoArgs;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_coordinator::{JobState, job, state::commits};
use capfilt_demo_data::{TruthTable, known, parquet_files, score::Score};
use capfilt_pipeline::output::read_ledger;
use capfilt_schemas::object_keys::Table;
use capfilt_store::Location;
use futures::TryStreamExt as _;

pub async fn run(url: &str, args: &DemoArgs) -> Ending {
    let mut rows = Vec::new();
    for path in parquet_files(&args.input).or_usage_error()? {
        rows.extend(known(&path).or_usage_error()?);
    }
    let (mut score, mut table) = (Score::of(rows), TruthTable::default());
    let bucket = Location::open_without_links(url).or_usage_error()?;
    let (_, plan) = job::load(&bucket).await.or_environment_error()?;
    let job_state = JobState::read(&bucket).await.or_environment_error()?;
    let results = commits::read_all(&bucket, &plan, &job_state.committed, job_state.job.as_ref());
    let mut results = std::pin::pin!(results);
    while let Some(result) = results.try_next().await.or_environment_error()? {
        // One shard at a time: memory holds the rows of one ledger.
        for ledger in result.commit.outputs.iter().filter(|output| output.table == Table::Ledger) {
            for row in read_ledger(&bucket, ledger, usize::MAX).await.or_environment_error()? {
                let row = row.into();
                score.add(&row).or_usage_error()?;
                table.add(&row, &score);
            }
        }
    }
    if let Some(path) = &args.truth_table {
        table.write(path).or_environment_error()?;
    }
    let found = score.found();
    if args.json {
        outln!("{}", serde_json::to_string(&found).or_environment_error()?);
    } else {
        outln!("{}", found.to_string().trim_end());
    }
    Ok(Exit::Done)
}
