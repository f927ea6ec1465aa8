//! The input's files as they are now: which there are, and at which state.

use crate::PlanError;
use capfilt_bucket::{BucketError, Place, without_secrets};
use capfilt_schemas::plan::InputFile;
use futures::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path};
use std::{collections::BTreeMap, fmt};

/// Lists the Parquet files of an input, sorted by path: the file the URL names, or all below it.
///
/// Hidden files and folders (`.x`, `_x`: markers and scratch space of other tools) are no input, and neither is what
/// the job itself writes when `job_url` lies below the input.
///
/// # Errors
/// When the store refuses to list, or when there is no such file: a job over nothing is a typing error.
pub async fn list(input: &Place, job_url: &str) -> Result<Vec<InputFile>, PlanError> {
    if let Some(file) = single_file(input).await? {
        return Ok(vec![file]);
    }
    let job = Place::open(job_url)?;
    let own = (place_of_store(&job.url) == place_of_store(&input.url)).then_some(job.prefix);
    let fail = |source| BucketError::Store { what: "list", object: without_secrets(&input.url), source };
    let mut objects = input.store.list(Some(&input.prefix));
    let mut files = Vec::new();
    while let Some(meta) = objects.try_next().await.map_err(fail)? {
        let is_own = own.as_ref().is_some_and(|own| meta.location.prefix_matches(own));
        if let (false, Some(path)) = (is_own, path_below(&input.prefix, &meta.location)) {
            files.push(pinned(path, meta));
        }
    }
    if files.is_empty() {
        return Err(PlanError::NoFiles { url: without_secrets(&input.url) });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

async fn single_file(input: &Place) -> Result<Option<InputFile>, PlanError> {
    let Some(name) = input.prefix.filename().map(str::to_owned) else { return Ok(None) };
    match input.store.head(&input.prefix).await {
        Ok(meta) => Ok(Some(pinned(name, meta))),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(BucketError::Store { what: "look at", object: without_secrets(&input.url), source }.into()),
    }
}

/// Scheme and bucket of a URL; empty for local paths.
fn place_of_store(url: &str) -> &str {
    let Some((scheme, rest)) = url.split_once("://") else { return "" };
    let host = rest.split('/').next().unwrap_or_default();
    &url[..scheme.len() + 3 + host.len()]
}

/// The path of an input file below the prefix; `None` for what is none.
fn path_below(prefix: &Path, location: &Path) -> Option<String> {
    let parts: Vec<String> = location.prefix_match(prefix)?.map(|part| part.as_ref().to_owned()).collect();
    let is_hidden = parts.iter().any(|part| part.starts_with(['.', '_']));
    let path = parts.join("/");
    (!is_hidden && path.ends_with(".parquet")).then_some(path)
}

fn pinned(path: String, meta: ObjectMeta) -> InputFile {
    // A store without ETags cannot be asked for a state; its files are known by their size alone.
    InputFile { path, etag: meta.e_tag.unwrap_or_default(), bytes: meta.size }
}

/// One file of the input that is not as it was planned. It shows itself as a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputChange {
    Removed(InputFile),
    Replaced { planned: InputFile, now: InputFile },
    Added(InputFile),
}

impl InputChange {
    /// Path below the input's URL.
    pub fn path(&self) -> &str {
        match self {
            Self::Removed(file) | Self::Added(file) | Self::Replaced { planned: file, .. } => &file.path,
        }
    }
}

impl fmt::Display for InputChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Removed(file) => write!(out, "input file {} was removed", file.path),
            Self::Added(file) => write!(out, "input file {} was added", file.path),
            Self::Replaced { planned, now } => write!(
                out,
                "input file {} changed: {} bytes with ETag {}, planned with {} bytes and ETag {}",
                planned.path, now.bytes, now.etag, planned.bytes, planned.etag
            ),
        }
    }
}

/// What changed between the files of a plan and those there are now: what was planned first, then what was added.
pub fn changes(planned: &[InputFile], now: &[InputFile]) -> Vec<InputChange> {
    let by_path = |files: &[InputFile]| -> BTreeMap<String, InputFile> {
        files.iter().map(|file| (file.path.clone(), file.clone())).collect()
    };
    let (planned, mut now) = (by_path(planned), by_path(now));
    let mut changes = Vec::new();
    for planned in planned.into_values() {
        match now.remove(&planned.path) {
            None => changes.push(InputChange::Removed(planned)),
            Some(now) if now != planned => changes.push(InputChange::Replaced { planned, now }),
            Some(_) => {}
        }
    }
    changes.extend(now.into_values().map(InputChange::Added));
    changes
}
