//! Lists the input's files with their current states.

use super::PlanError;
use capfilt_bucket::{BucketError, FaultKind, Passed, Place, escaped, without_secrets};
use capfilt_schemas::plan::{InputFile, RefusedFile};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path};
use std::{collections::BTreeMap, fmt};

/// Names of passed-over objects that a warning tells; of more it tells the number.
const TOLD: usize = 5;

/// Empty objects that are looked at more closely at the same time.
const LOOKS_AT_ONCE: usize = 16;

/// What an input holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Sorted by path.
    pub files: Vec<InputFile>,
    /// What would be a file of the input and cannot be read by anybody; sorted by path.
    pub refused: Vec<RefusedFile>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Lists the Parquet files of an input, sorted by path: the file the URL names, or all below it.
///
/// Hidden files and folders (`.x`, `_x`: markers and scratch space of other tools) are no input, and neither
/// is what the job itself writes when `job_url` lies below the input. A candidate that cannot be read (a link
/// that leads nowhere, a name no request can carry) is in the list, since its rows are missing; anything else
/// of that kind is a warning.
///
/// # Errors
/// When the store refuses to list, or when there is no such file: a job over nothing is a typing error.
pub async fn find(input: &Place, job_url: &str) -> Result<Found, PlanError> {
    let named = named_object(input).await?;
    if let Named::File(file) = &named
        && file.bytes > 0
        && is_parquet(&file.path)
    {
        return Ok(Found { files: vec![file.clone()], ..Found::default() });
    }
    let mut found = match (below(input, job_url).await, named) {
        (Ok(found), Named::File(file)) if found.files.is_empty() && found.refused.is_empty() => {
            return Ok(Found { files: vec![file], ..found });
        }
        (Ok(found), Named::Denied(error)) if found.files.is_empty() && found.refused.is_empty() => {
            return Err(error.into());
        }
        // An object may be read by those who may not list.
        (Err(_), Named::File(file)) => return Ok(Found { files: vec![file], ..Found::default() }),
        (Ok(mut found), Named::File(file)) if file.bytes > 0 => {
            let url = without_secrets(&input.url);
            found.warnings.push(format!("{url} is also an object; the input is the files below {url}/"));
            found
        }
        (found, _) => found?,
    };
    if found.files.is_empty() && found.refused.is_empty() {
        return Err(PlanError::NoFiles { url: without_secrets(&input.url) });
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.refused.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Every file of the input at its state, those that cannot be read too: what a later look is compared with.
///
/// # Errors
/// As [`find`].
pub async fn list(input: &Place, job_url: &str) -> Result<Vec<InputFile>, PlanError> {
    let Found { mut files, refused, .. } = find(input, job_url).await?;
    files.extend(refused.into_iter().map(|RefusedFile { path, etag, bytes, .. }| InputFile {
        path,
        etag,
        bytes,
    }));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// What the input's URL names by itself.
enum Named {
    Nothing,
    File(InputFile),
    /// It cannot be told: a prefix may be listed by those who may not ask for an object of its name.
    Denied(BucketError),
}

async fn named_object(input: &Place) -> Result<Named, PlanError> {
    let Some(name) = input.prefix.filename().map(str::to_owned) else { return Ok(Named::Nothing) };
    if input.is_prefix {
        return Ok(Named::Nothing);
    }
    let fail = |source| BucketError::Store { what: "look at", object: without_secrets(&input.url), source };
    match input.store.head(&input.prefix).await {
        Ok(meta) => Ok(Named::File(pinned(name, meta))),
        Err(error) => match FaultKind::of(&error) {
            FaultKind::NotThere => Ok(Named::Nothing),
            FaultKind::Forbidden | FaultKind::Name => Ok(Named::Denied(fail(error))),
            _ => Err(fail(error).into()),
        },
    }
}

async fn below(input: &Place, job_url: &str) -> Result<Found, PlanError> {
    let job = Place::open(job_url)?;
    let own = (place_of_store(&job.url) == place_of_store(&input.url)).then_some(job.prefix);
    let fail = |source| BucketError::Store { what: "list", object: without_secrets(&input.url), source };
    input.passed_over.take();
    let mut objects = input.store.list(Some(&input.prefix));
    let (mut found, mut empty) = (Found::default(), Vec::new());
    while let Some(meta) = objects.try_next().await.map_err(fail)? {
        let is_own = own.as_ref().is_some_and(|own| meta.location.prefix_matches(own));
        match path_below(&input.prefix, &meta.location) {
            Some(path) if !is_own && is_ambiguous(input, &path) => found.refused.push(ambiguous(path, meta)),
            Some(path) if !is_own && meta.size == 0 => {
                empty.push((meta.location.clone(), pinned(path, meta)))
            }
            Some(path) if !is_own => found.files.push(pinned(path, meta)),
            _ => {}
        }
    }
    found.files.extend(without_markers(input, empty).await);
    tell(&mut found, input.passed_over.take(), input, own.as_ref());
    Ok(found)
}

/// Those of the empty objects that are files.
async fn without_markers(input: &Place, empty: Vec<(Path, InputFile)>) -> Vec<InputFile> {
    let looked = stream::iter(empty)
        .map(async |(location, file)| (!input.is_folder_marker(&location).await).then_some(file));
    looked.buffered(LOOKS_AT_ONCE).filter_map(std::future::ready).collect().await
}

/// Sorts what the listing passed over into candidates that are missing, and a warning about the rest.
fn tell(found: &mut Found, passed_over: Vec<Passed>, input: &Place, own: Option<&Path>) {
    let root =
        if input.url.contains("://") { input.prefix.to_string() } else { format!("/{}", input.prefix) };
    let root = format!("{}/", escaped(root.trim_end_matches('/').as_bytes()));
    let root = root.trim_start_matches(|c| input.url.contains("://") && c == '/');
    let own = own.map(|own| format!("{}/", own.as_ref().trim_end_matches('/')));
    let mut told = Vec::new();
    for Passed { name, why, is_folder } in passed_over {
        let path = name.strip_prefix(root).unwrap_or(&name).to_owned();
        let is_own = own.as_ref().is_some_and(|own| name.trim_start_matches('/').starts_with(own.as_str()));
        if is_own || is_hidden(path.split('/').filter(|part| !matches!(*part, "." | ".."))) {
            continue;
        }
        if is_folder || is_parquet(&path) {
            found.refused.push(RefusedFile {
                path,
                etag: String::new(),
                bytes: 0,
                reason: format!("it cannot be read: {why}"),
            });
        } else {
            told.push(format!("{path} ({why})"));
        }
    }
    if !told.is_empty() {
        let (all, more) = (told.len(), told.len().saturating_sub(TOLD));
        told.truncate(TOLD);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        found.warnings.push(format!("passed over, as no input file: {all} names: {}{more}", told.join(", ")));
    }
}

/// Whether readers would take the file below the input for the input itself.
fn is_ambiguous(input: &Place, path: &str) -> bool {
    !input.is_prefix && input.prefix.filename() == Some(path)
}

fn ambiguous(path: String, meta: ObjectMeta) -> RefusedFile {
    let reason = "it has the name of the input itself; write input.url with a final slash".to_owned();
    let InputFile { path, etag, bytes } = pinned(path, meta);
    RefusedFile { path, etag, bytes, reason }
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
    let path = parts.join("/");
    (!is_hidden(parts.iter().map(String::as_str)) && is_parquet(&path)).then_some(path)
}

fn is_hidden<'a>(mut parts: impl Iterator<Item = &'a str>) -> bool {
    parts.any(|part| part.starts_with(['.', '_']))
}

fn is_parquet(path: &str) -> bool {
    path.ends_with(".parquet")
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

/// What changed between the files of a plan and those there are now: what was planned first, then what was
/// added.
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
