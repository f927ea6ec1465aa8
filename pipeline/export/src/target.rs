//! Destination of an export, and its existing content.

use super::{
    ExportError,
    card::{CARD, card},
    croissant::{CROISSANT, croissant},
    export::Export,
    kinds::Kinds,
    licences,
};
use bytes::Bytes;
use capfilt_schemas::export::{
    BEGUN, DATA, ENERGON, ExportRecord, Format, MDS_INDEX, RECORD, Request, SIZES,
};
use capfilt_store::{Location, without_secrets};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{collections::BTreeSet, fs, path::Path};

/// Files that are checked concurrently.
const LOOKS_AT_ONCE: usize = 16;

/// Largest number of foreign files that an error names.
const NAMED: usize = 3;

/// Existing content of the destination.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// No file of an export.
    Nothing,
    /// The same export, unfinished.
    Begun,
    /// The same export, finished.
    Finished(Box<ExportRecord>),
}

/// Checks the destination of an export.
///
/// # Errors
/// The destination has another export, or files that no record names, a source has no column of licences, or
/// the store fails.
pub async fn find(bucket: &Location, export: &Export) -> Result<Found, ExportError> {
    if let Some(column) = &export.options.licence_column {
        licences::check(&export.sources, column)?;
    }
    let asked = export.request();
    let another = |what: String| ExportError::Another { url: without_secrets(&bucket.url), what };
    if let Some(bytes) = bucket.read_if_there(RECORD).await? {
        let found: ExportRecord = bucket.parse_record(RECORD, &bytes)?;
        if let Some(what) = asked.difference(&found.request) {
            return Err(another(what));
        }
        missing(bucket, &found)
            .await?
            .map_or(Ok(()), |name| Err(another(format!("{name} is gone or was changed"))))?;
        return Ok(Found::Finished(Box::new(found)));
    }
    let begun = match bucket.read_if_there(BEGUN).await? {
        None => false,
        Some(bytes) => {
            let found: Request = bucket.parse_record(BEGUN, &bytes)?;
            if let Some(what) = asked.difference(&found) {
                return Err(another(format!("begun, with {what}")));
            }
            true
        }
    };
    no_strangers(bucket, begun.then_some(export.format)).await?;
    Ok(if begun { Found::Begun } else { Found::Nothing })
}

/// The first of an export's files that is missing or changed.
async fn missing(bucket: &Location, record: &ExportRecord) -> Result<Option<String>, ExportError> {
    let looks = stream::iter(&record.files).map(|file| async move {
        let there = bucket.head(&file.path).await?.is_some_and(|meta| meta.size == file.bytes);
        Ok::<_, ExportError>((!there).then(|| file.path.clone()))
    });
    let found: Vec<Option<String>> = looks.buffered(LOOKS_AT_ONCE).try_collect().await?;
    Ok(found.into_iter().flatten().next())
}

/// Checks that the data folder has only files that an export of this format may have written.
async fn no_strangers(bucket: &Location, ours: Option<Format>) -> Result<(), ExportError> {
    let listed = bucket.list(DATA).map_ok(|(name, _)| name);
    let strange = listed.try_filter(|name| {
        let is_ours = ours.is_some_and(|format| is_of(format, name));
        async move { !is_ours }
    });
    let mut names: Vec<String> = strange.take(NAMED).try_collect().await?;
    if names.is_empty() {
        return Ok(());
    }
    names.sort();
    let (url, names) = (without_secrets(&bucket.url_of(DATA)), names.join(", "));
    Err(ExportError::Strange { url, names })
}

/// Whether an export of this format writes a file of this name.
fn is_of(format: Format, name: &str) -> bool {
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let is_numbered = |begin: &str, end: &str| {
        let number = name.strip_prefix(DATA).and_then(|name| name.strip_prefix(begin));
        number.and_then(|number| number.strip_suffix(end)).is_some_and(hex)
    };
    let is_image = || {
        let name = name.strip_prefix(DATA).and_then(|name| name.strip_prefix("/images/"));
        let stem = name.and_then(|name| name.split_once('/')).and_then(|(_, name)| name.split_once('.'));
        stem.is_some_and(|(stem, _)| hex(stem))
    };
    match format {
        Format::Parquet | Format::Captions => is_numbered("/pairs-", ".parquet"),
        Format::Webdataset => is_numbered("/pairs-", ".tar") || name == SIZES,
        Format::Energon => {
            is_numbered("/pairs-", ".tar") || is_numbered("/pairs-", ".tar.idx") || name.starts_with(ENERGON)
        }
        Format::Mds => is_numbered("/shard.", ".mds") || name == MDS_INDEX,
        Format::Json | Format::Llava => is_numbered("/pairs-", ".json") || is_image(),
        Format::Imagefolder => name == format.file_name(0) || is_image(),
    }
}

/// Writes the request, before any file.
pub(crate) async fn begin(bucket: &Location, request: &Request) -> Result<(), ExportError> {
    let bytes = serde_json::to_vec_pretty(request).expect("the request is plain data");
    Ok(bucket.write(BEGUN, Bytes::from(bytes)).await?)
}

/// Writes the record, after all files.
pub(crate) async fn end(bucket: &Location, record: &ExportRecord, kinds: &Kinds) -> Result<(), ExportError> {
    for (name, text) in [(CARD, card(record)), (CROISSANT, croissant(record, kinds))] {
        // A card that the user wrote, or an earlier run of this export, is kept.
        if bucket.head(name).await?.is_none() {
            bucket.write(name, Bytes::from(text)).await?;
        }
    }
    let bytes = serde_json::to_vec_pretty(record).expect("the record is plain data");
    bucket.write(RECORD, Bytes::from(bytes)).await?;
    forget(bucket).await
}

/// Removes the request, if it still exists.
pub(crate) async fn forget(bucket: &Location) -> Result<(), ExportError> {
    removed(bucket, BEGUN).await
}

/// Removes images that were written before they were known to be near-duplicates.
pub(crate) async fn remove_images(
    bucket: &Location,
    paths: impl Iterator<Item = &String>,
) -> Result<(), ExportError> {
    let paths: BTreeSet<String> = paths.map(|path| format!("{DATA}/{path}")).collect();
    let removals = stream::iter(paths).map(|path| async move { removed(bucket, &path).await });
    removals.buffer_unordered(LOOKS_AT_ONCE).try_collect().await
}

/// Removes an object, if it exists.
async fn removed(bucket: &Location, path: &str) -> Result<(), ExportError> {
    match bucket.delete(path).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

/// Removes unfinished files of a killed writer. On a disk they have the file's name, `#` and a number.
pub(crate) fn tidy(bucket: &Location) -> Result<(), ExportError> {
    let Some(folder) = bucket.local_path() else { return Ok(()) };
    tidy_folder(&folder.join(DATA)).map_err(|(path, source)| ExportError::Scratch {
        what: "tidy",
        path,
        source,
    })
}

fn tidy_folder(folder: &Path) -> Result<(), (std::path::PathBuf, std::io::Error)> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
        let is_left =
            number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => tidy_folder(&path)?,
            Ok(kind) if kind.is_file() && is_left => fs::remove_file(&path).map_err(|error| (path, error))?,
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_format_are_its_own() {
        for (format, name, ours) in [
            (Format::Webdataset, "data/pairs-00001.tar", true),
            (Format::Webdataset, "data/sizes.json", true),
            (Format::Webdataset, "data/pairs-00001.parquet", false),
            (Format::Parquet, "data/pairs-00001.parquet", true),
            (Format::Parquet, "data/sizes.json", false),
            (Format::Parquet, "data/old.parquet", false),
            (Format::Json, "data/images/ab/ab0f.jpg", true),
            (Format::Json, "data/images/ab/cat.jpg", false),
            (Format::Json, "data/pairs-x.json", false),
            (Format::Imagefolder, "data/metadata.jsonl", true),
            (Format::Imagefolder, "data/images/ab/ab0f.txt", true),
            (Format::Llava, "data/metadata.jsonl", false),
            (Format::Energon, "data/pairs-00001.tar.idx", true),
            (Format::Energon, "data/.nv-meta/split.yaml", true),
            (Format::Webdataset, "data/pairs-00001.tar.idx", false),
            (Format::Mds, "data/shard.00001.mds", true),
            (Format::Mds, "data/index.json", true),
            (Format::Captions, "data/pairs-00001.parquet", true),
            (Format::Captions, "data/images/ab/ab0f.jpg", false),
        ] {
            assert_eq!(is_of(format, name), ours, "{name}");
        }
    }
}
