//! Lists the input's files with their current states.

mod folders;
mod neighbours;
mod patterns;
mod shard_lists;

use super::{PlanError, contents::Listed};
use capfilt_schemas::plan::{InputFile, InputFormat, RefusedFile};
use capfilt_store::{FaultKind, Location, Passed, StoreError, escaped, without_secrets};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Number of skipped objects that a warning names; of further ones it has only the number.
const NAMED: usize = 5;

/// Empty objects that are examined at the same time.
const CHECKS_AT_ONCE: usize = 16;

/// Files of an input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Usable files, sorted by path.
    pub files: Vec<InputFile>,
    /// Files of the input that cannot be read, sorted by path.
    pub refused: Vec<RefusedFile>,
    /// Parquet files that img2dataset wrote beside tars, by the paths of the tars.
    pub neighbours: BTreeMap<String, InputFile>,
    /// Entries of tars in lists of shards, by the paths of the tars.
    pub listed: BTreeMap<String, Listed>,
    /// Sentences for the user.
    pub warnings: Vec<String>,
}

/// Lists the input files, sorted by path: the file that the URL names, all files below it, or the files of
/// its brace pattern. If no file below the URL has a known format, the input files are the folders with
/// images.
///
/// Hidden files and folders (`.x`, `_x`: markers and scratch space of other tools) do not belong to the
/// input, nor do the job's own objects when `job_url` is below the input. An input file that cannot be read
/// (a link without a target, a name that no request can carry) is listed as refused, because its rows are
/// missing; other such names give a warning.
///
/// # Errors
/// A refused listing, and an input without a file: a job over no file is a typing error.
pub async fn find(input: &Location, job_url: &str) -> Result<Found, PlanError> {
    let mut found = match &input.braces {
        Some(braces) => patterns::find(input, braces).await?,
        None => find_named_or_below(input, job_url).await?,
    };
    if found.files.is_empty() && found.refused.is_empty() {
        return Err(PlanError::NoFiles { url: without_secrets(&input.url) });
    }
    found.files.sort_by(|a, b| a.path.cmp(&b.path));
    found.refused.sort_by(|a, b| a.path.cmp(&b.path));
    found.neighbours = neighbours::take_out(&mut found.files);
    Ok(found)
}

async fn find_named_or_below(input: &Location, job_url: &str) -> Result<Found, PlanError> {
    let named = named_object(input).await?;
    if let Named::File(file) = &named
        && file.bytes > 0
        && InputFormat::by_name(&file.path).is_some()
    {
        return Ok(Found { files: vec![file.clone()], ..Found::default() });
    }
    Ok(match (below(input, job_url).await, named) {
        (Ok(found), Named::File(file)) if found.files.is_empty() && found.refused.is_empty() => {
            return Ok(Found { files: vec![file], ..found });
        }
        (Ok(found), Named::Denied(error)) if found.files.is_empty() && found.refused.is_empty() => {
            return Err(error.into());
        }
        // Credentials may allow reading an object and forbid listing.
        (Err(_), Named::File(file)) => return Ok(Found { files: vec![file], ..Found::default() }),
        (Ok(mut found), Named::File(file)) if file.bytes > 0 => {
            let url = without_secrets(&input.url);
            found.warnings.push(format!("{url} is also an object; the input is the files below {url}/"));
            found
        }
        (found, _) => found?,
    })
}

/// Lists every file of the input with its state, unreadable files included, for comparison with the plan.
///
/// # Errors
/// As [`find`].
pub async fn list(input: &Location, job_url: &str) -> Result<Vec<InputFile>, PlanError> {
    let Found { mut files, refused, .. } = find(input, job_url).await?;
    files.extend(refused.into_iter().map(|RefusedFile { path, etag, bytes, .. }| InputFile {
        path,
        etag,
        bytes,
    }));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Object that the input's URL names.
enum Named {
    Nothing,
    File(InputFile),
    /// Unknown: credentials may allow listing a prefix and forbid requests for an object with its name.
    Denied(StoreError),
}

async fn named_object(input: &Location) -> Result<Named, PlanError> {
    let Some(name) = input.prefix.filename().map(str::to_owned) else { return Ok(Named::Nothing) };
    if input.is_prefix {
        return Ok(Named::Nothing);
    }
    let fail = |source| StoreError::Store {
        what: "read the metadata of",
        object: without_secrets(&input.url),
        source,
    };
    match input.store.head(&input.prefix).await {
        Ok(meta) => Ok(Named::File(pinned(name, meta))),
        Err(error) => match FaultKind::of(&error) {
            FaultKind::NotThere => Ok(Named::Nothing),
            FaultKind::Forbidden | FaultKind::Name => Ok(Named::Denied(fail(error))),
            _ => Err(fail(error).into()),
        },
    }
}

async fn below(input: &Location, job_url: &str) -> Result<Found, PlanError> {
    let job = Location::open(job_url)?;
    let own = (job.root() == input.root()).then_some(job.prefix);
    let fail = |source| StoreError::Store { what: "list", object: without_secrets(&input.url), source };
    input.passed_over.take();
    let mut objects = input.store.list(Some(&input.prefix));
    let (mut found, mut empty, mut folders) = (Found::default(), Vec::new(), BTreeSet::new());
    let mut lists = shard_lists::Candidates::default();
    while let Some(meta) = objects.try_next().await.map_err(fail)? {
        let is_own = own.as_ref().is_some_and(|own| meta.location.prefix_matches(own));
        if !is_own {
            folders.extend(folders::folder_of_image(&input.prefix, &meta.location));
        }
        match path_below(&input.prefix, &meta.location) {
            Some(path) if !is_own && is_ambiguous(input, &path) => found.refused.push(ambiguous(path, meta)),
            Some(path) if !is_own && meta.size == 0 => {
                empty.push((meta.location.clone(), pinned(path, meta)))
            }
            Some(path) if !is_own => found.files.push(pinned(path, meta)),
            None if !is_own => lists.add(&path_in(&input.prefix, &meta.location), meta.size),
            _ => {}
        }
    }
    found.files.extend(without_markers(input, empty).await);
    found.listed = lists.read(input, &tars_of_a_store(input, &found.files)).await;
    // Beside other files, images are those that the rows name.
    if found.files.is_empty() && found.refused.is_empty() {
        found.files = folders::list(input, folders).await?;
    }
    report_skipped(&mut found, input.passed_over.take(), input, own.as_ref());
    Ok(found)
}

/// Tars that the plan would have to read through a store.
fn tars_of_a_store<'a>(input: &Location, files: &'a [InputFile]) -> Vec<&'a str> {
    let paths = files.iter().map(|file| file.path.as_str());
    paths
        .filter(|path| InputFormat::of(path) == InputFormat::Tar && input.local_file(path).is_none())
        .collect()
}

/// Those of the empty objects that are files, not folder markers.
async fn without_markers(input: &Location, empty: Vec<(Path, InputFile)>) -> Vec<InputFile> {
    let files = stream::iter(empty)
        .map(async |(location, file)| (!input.is_folder_marker(&location).await).then_some(file));
    files.buffered(CHECKS_AT_ONCE).filter_map(std::future::ready).collect().await
}

/// Sorts the skipped names of a listing into refused files and a warning about the rest.
fn report_skipped(found: &mut Found, passed_over: Vec<Passed>, input: &Location, own: Option<&Path>) {
    let root =
        if input.url.contains("://") { input.prefix.to_string() } else { format!("/{}", input.prefix) };
    let root = format!("{}/", escaped(root.trim_end_matches('/').as_bytes()));
    let root = root.trim_start_matches(|c| input.url.contains("://") && c == '/');
    let own = own.map(|own| format!("{}/", own.as_ref().trim_end_matches('/')));
    let mut named = Vec::new();
    for Passed { name, why, is_folder } in passed_over {
        let path = name.strip_prefix(root).unwrap_or(&name).to_owned();
        let is_own = own.as_ref().is_some_and(|own| name.trim_start_matches('/').starts_with(own.as_str()));
        if is_own || is_hidden(path.split('/').filter(|part| !matches!(*part, "." | ".."))) {
            continue;
        }
        if is_folder || InputFormat::by_name(&path).is_some() {
            found.refused.push(RefusedFile {
                path,
                etag: String::new(),
                bytes: 0,
                reason: format!("it cannot be read: {why}"),
            });
        } else {
            named.push(format!("{path} ({why})"));
        }
    }
    if !named.is_empty() {
        let (all, more) = (named.len(), named.len().saturating_sub(NAMED));
        named.truncate(NAMED);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        found
            .warnings
            .push(format!("skipped {all} names that are not input files: {}{more}", named.join(", ")));
    }
}

/// Whether readers would confuse the file below the input with the input itself.
fn is_ambiguous(input: &Location, path: &str) -> bool {
    !input.is_prefix && input.prefix.filename() == Some(path)
}

fn ambiguous(path: String, meta: ObjectMeta) -> RefusedFile {
    let reason = "it has the name of the input itself; write input.url with a final slash".to_owned();
    let InputFile { path, etag, bytes } = pinned(path, meta);
    RefusedFile { path, etag, bytes, reason }
}

/// Path of an input file below the prefix; `None` for other objects.
fn path_below(prefix: &Path, location: &Path) -> Option<String> {
    let path = path_in(prefix, location);
    (!is_hidden(path.split('/')) && InputFormat::by_name(&path).is_some()).then_some(path)
}

/// Path below the prefix, with decoded parts; empty for an object outside of it.
fn path_in(prefix: &Path, location: &Path) -> String {
    let parts = location.prefix_match(prefix).into_iter().flatten();
    parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/")
}

fn is_hidden<'a>(mut parts: impl Iterator<Item = &'a str>) -> bool {
    parts.any(|part| part.starts_with(['.', '_']))
}

fn pinned(path: String, meta: ObjectMeta) -> InputFile {
    // A store without ETags cannot pin a state; its files are identified by their size alone.
    InputFile { path, etag: meta.e_tag.unwrap_or_default(), bytes: meta.size }
}

/// Change of one input file since the plan. `Display` gives a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputChange {
    /// The file is gone.
    Removed(InputFile),
    /// The file has another ETag or size.
    Replaced {
        /// State at the time of the plan.
        planned: InputFile,
        /// State now.
        now: InputFile,
    },
    /// The file is new.
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

/// Changes between the planned and the current files: first those of planned files, then added files.
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
