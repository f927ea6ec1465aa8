//! `capfilt retry`: retries quarantined rows and shards in the same job.

use super::run::finish;
use crate::args::{DeviceListArgs, RetryArgs};
use anyhow::Context as _;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, outln, shutdown};
use capfilt_coordinator::{
    job,
    retry::{self, RetryFilter},
};
use capfilt_runtime::{devices, metrics, open_job::OpenJob, release};
use capfilt_store::Location;
use serde_json::json;

pub async fn run(args: &RetryArgs) -> Ending {
    let stop = shutdown::on_signal();
    let metrics = metrics::start(args.queue.metrics).await?;
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let wanted =
        if args.only.is_empty() { Ok(RetryFilter::everything()) } else { RetryFilter::only(&args.only) };
    let wanted = wanted.map_err(anyhow::Error::msg).or_usage_error()?;
    let (record, plan) = job::load(&bucket).await.or_environment_error()?;
    release::warn(&record);
    let limits = record.settings.limits_with(&args.overrides).context("--set").or_usage_error()?;
    let found = retry::find(&bucket, &wanted).await.or_environment_error()?;
    if args.dry_run && args.json {
        outln!("{}", json!({"shards": found.shards, "shard_rows": found.shard_rows, "rows": found.rows}));
    } else {
        found.lines().iter().for_each(console::line);
    }
    if args.dry_run {
        return Ok(Exit::Done);
    }
    let DeviceListArgs { devices, model_threads, decode_threads } = &args.devices;
    let devices = devices::devices(devices, *model_threads, *decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).or_environment_error()?;
    if !found.is_empty() {
        found.record(&bucket, &wanted, limits).await.or_environment_error()?;
    }
    // Also if `found` is empty: an earlier retry may have been killed before it finished.
    let job = OpenJob {
        bucket: &bucket,
        record: &record,
        plan: &plan,
        devices: &devices,
        metrics,
        warned: &[],
        queue: args.queue.choice(),
    };
    finish(job, args.json, stop).await
}
