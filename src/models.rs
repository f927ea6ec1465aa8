//! Loads the models of a job: checkpoint records, local copies, load options.

use crate::devices;
use anyhow::{Context as _, anyhow};
use capfilt_blip::{
    BlipCaptioner, BlipFilter, DeviceChoice, GenerationOptions, LoadOptions, Options, precision,
};
use capfilt_console::{Exit, ExitCodeExt as _, Failure};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    model::ModelError,
};
use capfilt_schemas::{
    job::{JobRecord, ModelRecord},
    settings::{Method, Precision, Settings},
};
use capfilt_store::{Location, checkpoint_cache};
use futures::future::LocalBoxFuture;
use std::path::{Path, PathBuf};

/// Reads the records of both checkpoints: file names and digests.
pub async fn records(settings: &Settings) -> Result<(ModelRecord, ModelRecord), Failure> {
    Ok((record(&settings.models.captioner).await?, record(&settings.models.filter).await?))
}

async fn record(url: &str) -> Result<ModelRecord, Failure> {
    checkpoint_cache::record(&Location::open(url).or_usage_error()?).await.or_environment_error()
}

/// Checks that a job's models load on this machine's CPU.
pub fn load_here(job: &JobRecord) -> LocalBoxFuture<'_, Result<(), String>> {
    let load = async {
        load(job, DeviceChoice::Cpu).await.map(drop).map_err(|failure| format!("{:#}", failure.error))
    };
    Box::pin(load)
}

/// Loads a job's models onto a device, after checking the digests of the job record.
pub async fn load(job: &JobRecord, device: DeviceChoice) -> Result<CapFilt, Failure> {
    load_recorded(&job.settings, [&job.captioner, &job.filter], device).await
}

/// Loads models by their records, before the job exists.
pub async fn load_recorded(
    settings: &Settings,
    [captioner, filter]: [&ModelRecord; 2],
    device: DeviceChoice,
) -> Result<CapFilt, Failure> {
    let captioner = fetch(&settings.models.captioner, captioner).await?;
    let filter = fetch(&settings.models.filter, filter).await?;
    let options = load_options(settings, device);
    let generation = generation(settings, &options);
    let captioner = BlipCaptioner::load(&captioner, &options, generation)
        .context("the captioner does not load")
        .or_environment_error()?;
    let filter =
        BlipFilter::load(&filter, &options).context("the filter does not load").or_environment_error()?;
    let rule = Rule::new(&settings.filter, settings.captioner.captions, settings.job.seed);
    let batch = settings.workers.batch.or_else(|| 1);
    Ok(CapFilt::new(Box::new(captioner), Box::new(filter), rule, batch as usize))
}

/// Loads the reference captioner of the self-test: greedy decoding, f32, CPU.
pub async fn reference_captioner(job: &JobRecord) -> Result<BlipCaptioner, Failure> {
    let options = reference_options(&job.settings);
    let path = fetch_checked(&job.settings.models.captioner, &job.captioner).await?;
    let generation = generation(&job.settings, &options);
    let greedy =
        GenerationOptions { method: Method::Greedy, min_length: 0, repetition_penalty: 1.0, ..generation };
    BlipCaptioner::load(&path, &options, greedy).context("the captioner does not load").or_environment_error()
}

/// Loads the reference filter of the self-test: f32, CPU.
pub async fn reference_filter(job: &JobRecord) -> Result<BlipFilter, Failure> {
    let path = fetch_checked(&job.settings.models.filter, &job.filter).await?;
    BlipFilter::load(&path, &reference_options(&job.settings))
        .context("the filter does not load")
        .or_environment_error()
}

fn reference_options(settings: &Settings) -> LoadOptions {
    LoadOptions { precision: Precision::F32, ..load_options(settings, DeviceChoice::Cpu) }
}

/// Path of a checkpoint: a local path is unchanged; for a URL, the verified copy in this machine's cache.
pub async fn local(named: &Path) -> Result<PathBuf, Failure> {
    match named.to_str() {
        Some(url) if url.contains("://") => fetch(url, &record(url).await?).await,
        _ => Ok(named.to_owned()),
    }
}

/// Like [`fetch`], but reads a cached copy again, because the copy may have been damaged since its download.
async fn fetch_checked(url: &str, record: &ModelRecord) -> Result<PathBuf, Failure> {
    let path = fetch(url, record).await?;
    let folder = if path.is_dir() { &path } else { path.parent().unwrap_or(&path) };
    if Location::open(url).or_usage_error()?.local_path().as_deref() != Some(folder) {
        let found =
            checkpoint_cache::record(&Location::open(&folder.display().to_string()).or_usage_error()?)
                .await
                .or_environment_error()?;
        if found != *record {
            let folder = folder.display();
            return Err(anyhow!("{folder} differs from {url}; delete it, and it is fetched again"))
                .or_environment_error();
        }
    }
    Ok(path)
}

async fn fetch(url: &str, record: &ModelRecord) -> Result<PathBuf, Failure> {
    let place = Location::open(url).or_usage_error()?;
    let folder =
        checkpoint_cache::local_copy(&place, record, &devices::model_cache()).await.or_environment_error()?;
    // An original checkpoint (.pth) is one file; any other checkpoint is a folder.
    let pickle = record.files.iter().find(|file| file.name.ends_with(".pth"));
    Ok(pickle.map_or(folder.clone(), |file| folder.join(&file.name)))
}

/// Precision that `auto` selects on a device.
pub fn resolve(precision: Precision, device: DeviceChoice) -> Result<Precision, String> {
    Ok(precision::resolve(precision, device.resolve()?)?.setting())
}

fn load_options(settings: &Settings, device: DeviceChoice) -> LoadOptions {
    LoadOptions {
        device,
        precision: settings.models.precision,
        options: Options::of(settings.models.preset),
        image_size: None,
    }
}

fn generation(settings: &Settings, options: &LoadOptions) -> GenerationOptions {
    let captioner = &settings.captioner;
    GenerationOptions {
        method: captioner.method,
        beams: captioner.beams as usize,
        top_p: captioner.top_p,
        top_k: captioner.top_k as usize,
        repetition_penalty: captioner.repetition_penalty,
        min_length: captioner.min_length as usize,
        max_length: captioner.max_length as usize,
        prompt: captioner.prompt.clone(),
        beam_length: options.options.beam_length,
    }
}

/// Converts a model's error to an environment error.
pub fn model_failed(error: ModelError) -> Failure {
    Failure { exit: Exit::Environment, error: error.into() }
}
