//! The models of a job on a device.

use crate::{
    ModelOptions,
    checkpoints::{fetch, fetch_checked},
    registry,
};
use anyhow::Context as _;
use capfilt_blip::{DeviceChoice, precision};
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    model::{Captioner, Filter},
};
use capfilt_schemas::{
    job::{JobRecord, ModelRecord},
    settings::{self, Method, Precision, Settings},
};
use futures::future::LocalBoxFuture;

/// Checks that a job's models load on this machine's CPU.
pub fn load_here(job: &JobRecord) -> LocalBoxFuture<'_, Result<(), String>> {
    let load = async {
        load(job, DeviceChoice::Cpu).await.map(drop).map_err(|failure| format!("{:#}", failure.error))
    };
    Box::pin(load)
}

/// Loads a job's models onto a device, after checking the digests of the job record.
///
/// # Errors
/// When a checkpoint differs from the record, or does not load.
pub async fn load(job: &JobRecord, device: DeviceChoice) -> Result<CapFilt, Failure> {
    load_recorded(&job.settings, [&job.captioner, &job.filter], device).await
}

/// Loads models by their records, before the job exists.
///
/// # Errors
/// When a checkpoint differs from the record, or does not load.
pub async fn load_recorded(
    settings: &Settings,
    [captioner, filter]: [&ModelRecord; 2],
    device: DeviceChoice,
) -> Result<CapFilt, Failure> {
    let captioner = fetch(&settings.models.captioner, captioner).await?;
    let filter = fetch(&settings.models.filter, filter).await?;
    let options = ModelOptions::of(&settings.models, device);
    let captioner = registry::captioner(&captioner, options, &settings.captioner)
        .context("the captioner does not load")
        .or_environment_error()?;
    let filter =
        registry::filter(&filter, options).context("the filter does not load").or_environment_error()?;
    let rule = Rule::new(&settings.filter, settings.captioner.captions, settings.job.seed);
    let batch = settings.workers.batch.or_else(|| 1);
    Ok(CapFilt::new(captioner, filter, rule, batch as usize))
}

/// Loads the reference captioner of the self-test: greedy decoding, f32, CPU.
pub(crate) async fn reference_captioner(job: &JobRecord) -> Result<Box<dyn Captioner>, Failure> {
    let path = fetch_checked(&job.settings.models.captioner, &job.captioner).await?;
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
