//! Opens the sources of an export.

use crate::args::ExportArgs;
use capfilt_console::{self as console, ExitCodeExt as _, Failure};
use capfilt_export::{Content, ExportError, Source, inspect};
use capfilt_pipeline::cleaned::Wanted;
use capfilt_runtime::{finished_job, training_data};
use capfilt_schemas::{
    export::{self as record, Columns},
    settings::training_data::{DataSource, Texts},
};
use capfilt_store::{Location, without_secrets};

/// Default column of the row's key.
const KEY: &str = "key";

/// Opens all sources, human pairs first; a source that is given twice is opened once.
pub async fn open(args: &ExportArgs) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::with_capacity(args.human.len() + args.job.len());
    for (url, identity) in each_once(&args.human)? {
        sources.push(human(&url, identity, args).await?);
    }
    for (url, identity) in each_once(&args.job)? {
        sources.push(job(&url, identity, args.samples.texts.into()).await?);
    }
    Ok(sources)
}

/// URLs without repetitions, each with the identity of its location.
fn each_once(urls: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let mut places: Vec<(String, String)> = Vec::new();
    for url in urls {
        let identity = identity(url)?;
        match places.iter().any(|(_, known)| *known == identity) {
            true => console::line(format!("{} is given twice; it is read once", without_secrets(url))),
            false => places.push((url.clone(), identity)),
        }
    }
    Ok(places)
}

/// Identity of a location: equal for relative and absolute paths, with and without a final slash, and through
/// symbolic links.
fn identity(url: &str) -> Result<String, Failure> {
    let place = Location::open(url).or_usage_error()?;
    Ok(match place.local_path() {
        Some(path) => std::fs::canonicalize(&path).unwrap_or(path).display().to_string(),
        None => without_secrets(&place.url).trim_end_matches('/').to_owned(),
    })
}

async fn human(url: &str, identity: String, args: &ExportArgs) -> Result<Source, Failure> {
    let asked = &args.columns;
    let key = asked.key.as_deref().unwrap_or(KEY);
    let source = DataSource::of_files(url, key, &asked.image, &asked.text, asked.filter.as_deref());
    let shards = training_data::plan(&source, &args.to, training_data::Named::Options).await?;
    let place = Location::open(url).or_usage_error()?;
    let passthrough = match inspect(&place, &shards, &asked.passthrough, asked.key.as_deref()).await {
        Err(error @ ExportError::NoColumn { .. }) => return Err(error).or_usage_error(),
        inspected => inspected.or_environment_error()?,
    };
    let columns = Columns {
        key: key.to_owned(),
        image: asked.image.clone(),
        text: asked.text.clone(),
        filter: asked.filter.clone(),
        passthrough: asked.passthrough.clone(),
    };
    let record =
        record::Source::Human { url: identity, version: training_data::version(&shards, &source), columns };
    Ok(Source {
        record,
        place,
        content: Content::Human { shards, columns: Box::new(training_data::columns(&source)?), passthrough },
    })
}

async fn job(url: &str, identity: String, texts: Texts) -> Result<Source, Failure> {
    let cleaned = finished_job::open(url).await?;
    let manifest = cleaned.manifest;
    if !manifest.quarantined.is_empty() {
        console::line(quarantined(&identity, &manifest.quarantined));
    }
    let wanted = Wanted { referenced: finished_job::referenced(&cleaned.settings)?, cosines: true };
    let record = record::Source::Job {
        url: identity,
        manifest: manifest.n,
        digest: manifest.digest,
        texts,
        quarantined: manifest.quarantined,
    };
    let tables = cleaned.tables.iter().map(finished_job::tables).collect();
    let place = Location::open_without_links(url).or_usage_error()?;
    Ok(Source { record, place, content: Content::Job { tables, texts, wanted } })
}

/// Text about the quarantined shards of a job, which are not in the export.
pub fn quarantined(url: &str, shards: &[capfilt_schemas::manifest::QuarantinedShard]) -> String {
    let rows: u64 = shards.iter().map(|shard| shard.rows).sum();
    let (n, first) = (shards.len(), &shards[0]);
    format!(
        "{url}: {n} shards with {rows} rows are quarantined and not in the export (first: {}, {}); \
         `capfilt retry --job {url}` retries them",
        first.shard, first.reason
    )
}
