//! `capfilt retry`: retries quarantined rows and shards in the same job.

use super::run::OpenJob;
use crate::{
    args::{DeviceListArgs, RetryArgs},
    metrics,
};
use anyhow::Context as _;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, outln, shutdown};
use capfilt_coordinator::{
    job,
    retry::{self, RetryFilter, RetryPlan},
};
use capfilt_runtime::{devices, release};
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
        show(&found);
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
    let devices = &devices[..];
    let job = OpenJob { bucket: &bucket, record: &record, plan: &plan, devices, metrics, warned: &[] };
    job.finish(&args.queue, args.json, stop).await
}

fn show(found: &RetryPlan) {
    if found.is_empty() {
        console::line("no quarantined row or shard matches; nothing to retry");
    }
    if found.shards > 0 {
        console::line(format!(
            "to retry: {} quarantined shards with {} rows",
            found.shards, found.shard_rows
        ));
    }
    for (status, rows) in &found.rows {
        console::line(format!("to retry: {rows} rows with status {status}"));
    }
}
