//! The models of a job on a device.

use crate::{
    ModelOptions,
    checkpoints::{fetch, fetch_checked},
    clip, endpoint, registry,
};
use anyhow::{Context as _, anyhow};
use capfilt_blip::{DeviceChoice, precision};
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    model::{CaptionSource, Captioner, Filter},
};
use capfilt_schemas::{
    job::{JobRecord, ModelRecord},
    settings::{self, Method, Precision, Settings},
};
use futures::future::LocalBoxFuture;

/// Checks that a job's models load on this machine's CPU. Endpoints are not models: each machine may have its
/// own.
pub fn load_here(job: &JobRecord) -> LocalBoxFuture<'_, Result<(), String>> {
    let load = async {
        let captions = checkpoint_captions(&job.settings, &job.captioner, DeviceChoice::Cpu).await?;
        load_with(captions, &job.settings, [&job.filter, &job.clip], DeviceChoice::Cpu).await
    };
    Box::pin(async { load.await.map(drop).map_err(|failure| format!("{:#}", failure.error)) })
}

/// Loads a job's models onto a device, after checking the digests of the job record.
///
/// # Errors
/// When a checkpoint differs from the record, or does not load.
pub async fn load(job: &JobRecord, device: DeviceChoice) -> Result<CapFilt, Failure> {
    load_recorded(&job.settings, [&job.captioner, &job.filter, &job.clip], device).await
}

/// Loads models by their records, before the job exists.
///
/// # Errors
/// When a checkpoint differs from the record, or does not load, and an endpoint that is unavailable.
pub async fn load_recorded(
    settings: &Settings,
    [captioner, filter, clip]: [&ModelRecord; 3],
    device: DeviceChoice,
) -> Result<CapFilt, Failure> {
    let captions = match endpoint::connect(settings).await? {
        Some(endpoint) => CaptionSource::Remote(Box::new(endpoint)),
        None => checkpoint_captions(settings, captioner, device).await?,
    };
    load_with(captions, settings, [filter, clip], device).await
}

/// Loads a job's models; a job with an endpoint gets no captions.
///
/// # Errors
/// As [`load_recorded`].
pub(crate) async fn load_without_endpoint(job: &JobRecord, device: DeviceChoice) -> Result<CapFilt, Failure> {
    let captions = checkpoint_captions(&job.settings, &job.captioner, device).await?;
    load_with(captions, &job.settings, [&job.filter, &job.clip], device).await
}

async fn load_with(
    captions: CaptionSource,
    settings: &Settings,
    [filter, clip]: [&ModelRecord; 2],
    device: DeviceChoice,
) -> Result<CapFilt, Failure> {
    let options = ModelOptions::of(&settings.models, device);
    let filter = fetch(&settings.models.filter, filter).await?;
    let filter =
        registry::filter(&filter, options).context("the filter does not load").or_environment_error()?;
    let clip = match &settings.models.clip {
        None => None,
        Some(url) => {
            let path = fetch(url, clip).await?;
            let clip = clip::load(&path, options).context("the CLIP does not load");
            Some(clip.or_environment_error()?)
        }
    };
    let rule = Rule::new(settings);
    // The memory and the time of a clip are those of its frames.
    let frames = rule.frames.map_or(1, |frames| frames.count as u32);
    let batch = (settings.workers.batch.or_else(|| 1) / frames).max(1);
    Ok(CapFilt::new(captions, filter, rule, batch as usize).with_clip(clip))
}

/// The captioner of a checkpoint; nothing is opened for a job without one.
async fn checkpoint_captions(
    settings: &Settings,
    captioner: &ModelRecord,
    device: DeviceChoice,
) -> Result<CaptionSource, Failure> {
    let Some(url) = &settings.models.captioner else { return Ok(CaptionSource::Nothing) };
    let path = fetch(url, captioner).await?;
    let options = ModelOptions::of(&settings.models, device);
    registry::captioner(&path, options, &settings.captioner)
        .context("the captioner does not load")
        .or_environment_error()
        .map(CaptionSource::Model)
}

/// Loads the reference captioner of the self-test: greedy decoding, f32, CPU.
pub(crate) async fn reference_captioner(job: &JobRecord) -> Result<Box<dyn Captioner>, Failure> {
    let url = job.settings.models.captioner.as_deref();
    let url = url.ok_or_else(|| anyhow!("the job has no captioner on this machine")).or_usage_error()?;
    let path = fetch_checked(url, &job.captioner).await?;
    let greedy = settings::Captioner {
        method: Method::Greedy,
        min_length: 0,
        repetition_penalty: 1.0,
        ..job.settings.captioner.clone()
    };
    registry::captioner(&path, reference_options(&job.settings), &greedy)
        .context("the captioner does not load")
        .or_environment_error()
}

/// Loads the reference filter of the self-test: f32, CPU.
pub(crate) async fn reference_filter(job: &JobRecord) -> Result<Box<dyn Filter>, Failure> {
    let path = fetch_checked(&job.settings.models.filter, &job.filter).await?;
    registry::filter(&path, reference_options(&job.settings))
        .context("the filter does not load")
        .or_environment_error()
}

fn reference_options(settings: &Settings) -> ModelOptions {
    ModelOptions { precision: Precision::F32, ..ModelOptions::of(&settings.models, DeviceChoice::Cpu) }
}

/// Precision that `auto` selects on a device.
///
/// # Errors
/// A sentence for the user, when the device does not exist or does not support the precision.
pub fn resolve(precision: Precision, device: DeviceChoice) -> Result<Precision, String> {
    Ok(precision::resolve(precision, device.resolve()?)?.setting())
}
