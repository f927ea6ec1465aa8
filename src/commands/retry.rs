//! `capfilt retry`: what was quarantined is done again, in the same job.

use super::run::OpenJob;
use crate::{
    args::{DeviceListArgs, RetryArgs},
    exit::{Blame as _, Ending, Exit},
    machine, release, say, scrape, stop,
};
use anyhow::Context as _;
use capfilt_bucket::Bucket;
use capfilt_coordinator::{
    job,
    retry::{self, RetryFilter, RetryPlan},
};
use serde_json::json;

pub async fn run(args: &RetryArgs) -> Ending {
    let stop = stop::on_signal();
    let metrics = scrape::serve(args.queue.metrics).await?;
    let bucket = Bucket::open(&args.job).usage()?;
    let wanted = if args.only.is_empty() { Ok(RetryFilter::everything()) } else { RetryFilter::only(&args.only) };
    let wanted = wanted.map_err(anyhow::Error::msg).usage()?;
    let (record, plan) = job::load(&bucket).await.environment()?;
    release::warn(&record);
    let limits = record.settings.limits_with(&args.overrides).context("--set").usage()?;
    let found = retry::find(&bucket, &wanted).await.environment()?;
    if args.dry_run && args.json {
        outln!("{}", json!({"shards": found.shards, "shard_rows": found.shard_rows, "rows": found.rows}));
    } else {
        show(&found);
    }
    if args.dry_run {
        return Ok(Exit::Done);
    }
    let DeviceListArgs { devices, model_threads, decode_threads } = &args.devices;
    let devices = machine::devices(devices, *model_threads, *decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).environment()?;
    if !found.is_empty() {
        found.record(&bucket, &wanted, limits).await.environment()?;
    }
    // Also when nothing was found: an earlier retry may have been killed in the middle.
    let devices = &devices[..];
    let job = OpenJob { bucket: &bucket, record: &record, plan: &plan, devices, metrics, told: &[] };
    job.finish(&args.queue, args.json, stop).await
}

fn show(found: &RetryPlan) {
    if found.is_empty() {
        say::line("nothing that failed so is to be done again");
    }
    if found.shards > 0 {
        say::line(format!("to do again: {} quarantined shards with {} rows", found.shards, found.shard_rows));
    }
    for (status, rows) in &found.rows {
        say::line(format!("to do again: {rows} rows that are {status}"));
    }
}
