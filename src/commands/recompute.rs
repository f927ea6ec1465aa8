//! `capfilt verify --recompute`: computes some rows of a job again on this machine and compares the results.

use capfilt_blip::DeviceChoice;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::{JobState, Problem, job, state::commits};
use capfilt_pipeline::self_test::Tolerance;
use capfilt_runtime::{devices, models};
use capfilt_schemas::{object_keys::Table, settings::Precision};
use capfilt_store::Location;
use capfilt_workers::{Agreement, Recompute};
use futures::TryStreamExt as _;
use indicatif::ProgressBar;

/// Computes about `wanted` rows again: the first rows of shards that are spread evenly over the plan. Returns
/// a problem if the difference exceeds the rounding of the precision.
pub async fn rows(
    bucket: &Location,
    wanted: u64,
    device: DeviceChoice,
) -> Result<(Agreement, Option<Problem>), Failure> {
    let (record, plan) = job::load(bucket).await.or_environment_error()?;
    let job_state = JobState::read(bucket).await.or_environment_error()?;
    let results: Vec<_> = commits::read_all(bucket, &plan, &job_state.committed, job_state.job.as_ref())
        .try_collect()
        .await
        .or_environment_error()?;
    let committed = plan.iter().filter(|shard| job_state.committed.contains_key(&shard.id)).zip(results);
    let committed: Vec<_> = committed.collect();
    let input = Location::open(&record.settings.input.url).or_usage_error()?;
    capfilt_blip::set_threads(devices::cores());
    let capfilt = models::load(&record, device).await?;
    // Whole batches: one per shard, or several per shard if there are not enough shards.
    let shards = wanted.div_ceil(capfilt.batch() as u64).clamp(1, committed.len().max(1) as u64);
    let rows_per_shard = wanted.div_ceil(shards) as usize;
    let mut again = Recompute { bucket, input: &input, settings: &record.settings, capfilt };
    let (mut agreement, bar) = (Agreement::default(), ProgressBar::new(shards));
    for i in 0..shards.min(committed.len() as u64) {
        let (shard, result) = &committed[(i * committed.len() as u64 / shards) as usize];
        let ledger = result.commit.outputs.iter().find(|output| output.table == Table::Ledger);
        if let Some(ledger) = ledger {
            again.shard(shard, ledger, rows_per_shard, &mut agreement).await.or_environment_error()?;
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    let problem = problem(&agreement, record.settings.models.precision);
    Ok((agreement, problem))
}

/// Describes a difference that exceeds the rounding differences between two devices.
fn problem(agreement: &Agreement, precision: Precision) -> Option<Problem> {
    let tolerance = Tolerance::between_two(precision).score;
    let what = if agreement.other_rows > 0 {
        format!("{} rows differ from the input in image, status or text", agreement.other_rows)
    } else if agreement.max_match_difference > tolerance {
        format!("P(match) of equal texts differs by {:.1e}", agreement.max_match_difference)
    } else if agreement.other_captions * 10 > agreement.captions {
        format!("{} of {} captions differ", agreement.other_captions, agreement.captions)
    } else {
        return None;
    };
    let next = "compute them on the machine that wrote them; if they differ there too, the job's results are \
                not those of its models";
    Some(Problem::new("ledgers, judged again", what, next))
}
