//! Computes some rows of a job again on this machine and compares the results.

use crate::{devices, models};
use capfilt_blip::DeviceChoice;
use capfilt_console::{ExitCodeExt as _, Failure, Progress};
use capfilt_coordinator::{
    JobState, Problem, job,
    state::commits::{self, ShardResult},
};
use capfilt_schemas::object_keys::Table;
use capfilt_store::Location;
use capfilt_workers::{Agreement, Recompute};
use futures::TryStreamExt as _;

/// Remedy for a difference.
const NEXT: &str = "compute them on the machine that wrote them; if they differ there too, the job's results \
                    are not those of its models";

/// Computes about `wanted` rows again: the first rows of shards that are spread evenly over the plan. Returns
/// a problem if the difference exceeds the rounding of the precision.
///
/// # Errors
/// A job or an input that cannot be read, and models that do not load or compute.
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
    let input = Location::open(&record.settings.input.url).or_usage_error()?;
    capfilt_blip::set_threads(devices::cores());
    let capfilt = models::load_without_endpoint(&record, device).await?;
    let ledger = |result: &ShardResult| {
        result.commit.outputs.iter().find(|output| output.table == Table::Ledger).cloned()
    };
    let committed: Vec<_> = committed.map(|(shard, result)| (shard, ledger(&result))).collect();
    let mut again = Recompute { bucket, input: &input, settings: &record.settings, capfilt };
    let bar = Progress::plain();
    let agreement = again.rows(&committed, wanted, |done, all| bar.show_bar(done, all)).await;
    bar.finish();
    let agreement = agreement.or_environment_error()?;
    let fault = agreement.fault(record.settings.models.precision);
    let problem = fault.map(|fault| Problem::new("ledgers, judged again", fault, NEXT));
    Ok((agreement, problem))
}
