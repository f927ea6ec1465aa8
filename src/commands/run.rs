//! `capfilt run`: plans the job if needed, processes all shards, writes the manifest. A repeated run resumes.

use crate::args::RunArgs;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, outln, shutdown};
use capfilt_coordinator::{OnInputChange, job::Opened, preflight};
use capfilt_runtime::{devices, job_setup, metrics, open_job::OpenJob, settings_file};
use capfilt_store::Location;
use tokio::sync::watch;

pub async fn run(args: &RunArgs) -> Ending {
    let stop = shutdown::on_signal();
    let metrics = metrics::start(args.queue.metrics).await?;
    let settings = settings_file::load(args.settings.file())?;
    let bucket = Location::open_without_links(&settings.job.url).or_usage_error()?;
    let devices = devices::of_settings(&settings.workers)?;
    let on_change = if args.allow_changed { OnInputChange::SetAside } else { OnInputChange::Refuse };
    let opening = async {
        preflight::require(&bucket).await.or_environment_error()?;
        job_setup::open(&bucket, args.settings.file(), &settings, &devices, on_change).await
    };
    let Some(opened) = shutdown::unless(&stop, opening).await.transpose()? else {
        return Ok(Exit::Interrupted);
    };
    let Opened { record, plan, resumed, warnings } = opened;
    warnings.iter().for_each(|warning| console::line(format!("warning: {warning}")));
    let refused = &record.plan.refused;
    refused.iter().for_each(|file| console::line(format!("refused: {}: {}", file.path, file.reason)));
    let about = if plan.iter().all(|shard| shard.rows_exact) { "" } else { "about " };
    let verb = if resumed { "resuming" } else { "planned" };
    console::line(format!(
        "{verb} {}: {about}{} rows in {} shards",
        bucket.url, record.plan.rows, record.plan.shards
    ));
    if args.plan_only {
        console::line(
            "the job is planned; `capfilt worker` processes its shards, `capfilt run` also writes the \
             manifest",
        );
        return Ok(if refused.is_empty() { Exit::Done } else { Exit::WithQuarantine });
    }
    if args.queue.cluster.cluster.is_some() {
        devices::not_shared(&settings.workers).iter().for_each(console::line);
    }

    let job = OpenJob {
        bucket: &bucket,
        record: &record,
        plan: &plan,
        devices: &devices,
        metrics,
        warned: &warnings,
        queue: args.queue.choice(),
    };
    finish(job, args.json, stop).await
}

/// Executes the job and prints its result; the last line is the manifest's URL.
pub async fn finish(job: OpenJob<'_>, as_json: bool, stop: watch::Receiver<bool>) -> Ending {
    let Some(finished) = job.finish(stop).await? else { return Ok(Exit::Interrupted) };
    if as_json {
        outln!("{}", finished.to_json());
    } else {
        finished.lines().iter().for_each(|line| outln!("{line}"));
    }
    outln!("{}", finished.sealed.url);
    Ok(if finished.is_whole() { Exit::Done } else { Exit::WithQuarantine })
}
