//! `capfilt worker`: processes open shards of a planned job on this machine's devices.
//!
//! Workers need no contact with each other: one commit per shard wins, so two workers on one shard waste work
//! and do no other harm.

use crate::args::{DeviceListArgs, WorkerArgs};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln, shutdown};
use capfilt_coordinator::{
    dispatch::{Outcome, Report, local::RetryPolicy},
    plan::Part,
};
use capfilt_runtime::{cluster, devices, local_job, metrics};
use capfilt_store::Location;
use serde_json::json;
use std::time::Duration;

pub async fn run(args: &WorkerArgs) -> Ending {
    let stop = shutdown::on_signal();
    let metrics = metrics::start(args.metrics).await?;
    let part: Part = args.part.parse().map_err(anyhow::Error::msg).or_usage_error()?;
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let DeviceListArgs { devices, model_threads, decode_threads } = &args.devices;
    let devices = devices::devices(devices, *model_threads, *decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).or_environment_error()?;
    let policy = RetryPolicy { grace: Duration::from_secs(args.grace), ..RetryPolicy::default() };
    let outcome = match args.cluster.link() {
        Some(link) => cluster::join(&bucket, link, &devices, policy, metrics, stop).await?,
        None => local_job::process_part(&bucket, part, &devices, policy, metrics, stop).await?,
    };
    match outcome {
        Outcome::Finished(report) => {
            conclude(&report, args.json);
            Ok(if report.quarantined.is_empty() { Exit::Done } else { Exit::WithQuarantine })
        }
        Outcome::Interrupted(_) => Ok(Exit::Interrupted),
    }
}

fn conclude(report: &Report, as_json: bool) {
    let Report { committed, rows, wasted_rows, .. } = report;
    let quarantined = report.quarantined.len();
    if as_json {
        outln!(
            "{}",
            json!({
                "committed_shards": committed, "rows": rows, "quarantined_shards": quarantined,
                "wasted_rows": wasted_rows,
            })
        );
    } else {
        outln!("{committed} shards committed, {rows} rows; `capfilt run` writes the manifest when all are");
    }
}
