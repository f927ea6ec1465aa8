//! Checkpoints of models: their records, and their files on this machine.

use crate::devices;
use anyhow::anyhow;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::checkpoints;
use capfilt_schemas::{job::ModelRecord, model_files::ORIGINAL, settings::Settings};
use capfilt_store::Location;
use std::path::{Path, PathBuf};

/// Reads the records of a job's captioner, filter and CLIP: file names and digests. A job without a
/// checkpoint in a role has [`ModelRecord::none`] in its place.
///
/// # Errors
/// When a checkpoint cannot be read.
pub async fn records(settings: &Settings) -> Result<[ModelRecord; 3], Failure> {
    let models = &settings.models;
    let captioner = record_of(models.captioner.as_ref()).await?;
    Ok([captioner, record(&models.filter).await?, record_of(models.clip.as_ref()).await?])
}

async fn record_of(url: Option<&String>) -> Result<ModelRecord, Failure> {
    match url {
        Some(url) => record(url).await,
        None => Ok(ModelRecord::none()),
    }
}

async fn record(url: &str) -> Result<ModelRecord, Failure> {
    checkpoints::record(&Location::open(url).or_usage_error()?).await.or_environment_error()
}

/// Path of a checkpoint: a local path is unchanged; for a URL, the verified copy in this machine's cache.
///
/// # Errors
/// When a checkpoint cannot be fetched.
pub async fn local(named: &Path) -> Result<PathBuf, Failure> {
    match named.to_str() {
        Some(url) if url.contains("://") => fetch(url, &record(url).await?).await,
        _ => Ok(named.to_owned()),
    }
}

/// Like [`fetch`], but reads a cached copy again, because the copy may have been damaged since its download.
pub(crate) async fn fetch_checked(url: &str, record: &ModelRecord) -> Result<PathBuf, Failure> {
    let path = fetch(url, record).await?;
    let folder = if path.is_dir() { &path } else { path.parent().unwrap_or(&path) };
    if Location::open(url).or_usage_error()?.local_path().as_deref() != Some(folder) {
        let found = checkpoints::record(&Location::open(&folder.display().to_string()).or_usage_error()?)
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

/// Path of a recorded checkpoint on this machine.
pub(crate) async fn fetch(url: &str, record: &ModelRecord) -> Result<PathBuf, Failure> {
    let place = Location::open(url).or_usage_error()?;
    let folder =
        checkpoints::local_copy(&place, record, &devices::model_cache()).await.or_environment_error()?;
    // An original checkpoint is one file; any other checkpoint is a folder.
    let pickle = record.files.iter().find(|file| file.name.ends_with(ORIGINAL));
    Ok(pickle.map_or(folder.clone(), |file| folder.join(&file.name)))
}
