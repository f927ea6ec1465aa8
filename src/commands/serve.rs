//! `capfilt serve`: the live page of a job.

use capfilt_blip::DeviceChoice;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, shutdown};
use capfilt_coordinator::job;
use capfilt_report::Options;
use capfilt_runtime::{ModelOptions, checkpoints, release, text_vector};
use capfilt_schemas::settings::Precision;
use capfilt_serve::{Access, Server, TextVector, arguments::ServeArgs};
use capfilt_store::Location;
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::{runtime::Handle, task::spawn_blocking};

pub async fn run(args: &ServeArgs) -> Ending {
    let stop = shutdown::on_signal();
    let bucket = Location::open_without_links(&args.job).or_usage_error()?;
    let access = Access::of(args).or_usage_error()?;
    release::warn_of(&bucket).await;
    let text_vector = text_vector(&bucket, args).await?;
    let server = Server::open(bucket, access, Some(report), text_vector).await.or_environment_error()?;
    server.lines().iter().for_each(console::line);
    shutdown::unless(&stop, server.run()).await;
    Ok(Exit::Interrupted)
}

/// The model of `--search-model`, with the job's preset and length of texts.
async fn text_vector(bucket: &Location, args: &ServeArgs) -> Result<Option<TextVector>, Failure> {
    let Some(model) = &args.search_model else { return Ok(None) };
    let model = checkpoints::local(model).await?;
    let (record, _) = job::load(bucket).await.or_environment_error()?;
    let (preset, max_words) = (record.settings.models.preset, record.settings.filter.max_words as usize);
    let options = ModelOptions { device: DeviceChoice::Cpu, precision: Precision::F32, preset };
    let loaded = spawn_blocking(move || text_vector::of_filter(&model, options, max_words)).await;
    loaded.or_environment_error()?.or_environment_error().map(Some)
}

/// Makes the page of `capfilt report`, on a thread for blocking work: thumbnails are computed.
fn report(job: Arc<Location>) -> BoxFuture<'static, Result<String, String>> {
    let made = spawn_blocking(move || {
        Handle::current()
            .block_on(capfilt_report::html(&job, &Options::default()))
            .map_err(|error| error.to_string())
    });
    Box::pin(async move { made.await.map_err(|error| error.to_string())? })
}
