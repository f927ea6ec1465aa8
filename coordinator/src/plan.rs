//! The plan: what there is to do, found out from listings and footers alone.

use crate::{
    columns::Wanted,
    cut::{self, RowGroup},
    footer, input,
};
use capfilt_bucket::{BucketError, Place, without_secrets};
use capfilt_schemas::{
    plan::{InputFile, RefusedFile, Shard, ShardId},
    predicate::{Predicate, PredicateError},
    settings::Settings,
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::collections::HashSet;

/// Footers read at the same time: requests wait for the store's latency, not for our bandwidth (64 kB each).
const FOOTERS_AT_ONCE: usize = 32;

/// Everything a job will do, before anything is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// In the order of file path and row group.
    pub shards: Vec<Shard>,
    /// Files that can give no shard. They harm no other file, and the job ends as one with quarantine.
    pub refused: Vec<RefusedFile>,
    /// Sound files without a row.
    pub without_rows: Vec<InputFile>,
    /// What the user should know; nothing here stops a job.
    pub warnings: Vec<String>,
    pub rows: u64,
    /// Compressed bytes of all shards.
    pub bytes: u64,
    /// Input files, refused ones included.
    pub files: u64,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(
        "{url}: there is no Parquet file; input.url names one `.parquet` file, or a folder or prefix with such files below it"
    )]
    NoFiles { url: String },
    #[error("{url}: none of {files} files can be used; the first, {path}: {reason}")]
    NothingUsable { url: String, files: usize, path: String, reason: String },
    #[error(
        "input file {path} changed while it was being planned ({why}); plan again when the input no longer changes"
    )]
    Moving { path: String, why: String },
    #[error("two shards have the id {0}; this is a one in 10^12 chance: change shards.rows a little")]
    SameId(ShardId),
    #[error(transparent)]
    Where(#[from] PredicateError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl PlanError {
    /// Whether the settings are at fault, and not the store.
    pub fn is_of_settings(&self) -> bool {
        matches!(self, Self::NoFiles { .. } | Self::NothingUsable { .. } | Self::Where(_))
    }
}

/// What became of one file.
enum Planned {
    Cut { shards: Vec<Shard>, has_key: bool, warning: Option<String> },
    Refused(RefusedFile),
}

/// Plans a job over `input`: lists, pins and cuts its files. Reads footers only and writes nothing.
///
/// # Errors
/// When the store fails, and when no file at all can be used, which speaks for the settings rather than for the files.
pub async fn plan(input: &Place, settings: &Settings) -> Result<Plan, PlanError> {
    let filter = settings.input.filter.as_deref().map(Predicate::parse).transpose()?;
    let wanted = Wanted::of(&settings.input, filter.as_ref());
    let input::Found { files, refused, warnings } = input::find(input, &settings.job.url).await?;
    let footers = futures::stream::iter(&files).map(|file| one_file(input, file, &wanted, settings.shards.rows));
    let planned: Vec<Planned> = footers.buffered(FOOTERS_AT_ONCE).try_collect().await?;
    let mut plan = collect(&files, planned, &settings.input.key);
    plan.files += refused.len() as u64;
    plan.refused.extend(refused);
    plan.refused.sort_by(|a, b| a.path.cmp(&b.path));
    plan.warnings.splice(0..0, warnings);
    if let (Some(first), true) = (plan.refused.first(), plan.refused.len() as u64 == plan.files) {
        let (path, reason) = (first.path.clone(), first.reason.clone());
        let files = plan.refused.len();
        return Err(PlanError::NothingUsable { url: without_secrets(&input.url), files, path, reason });
    }
    no_id_twice(&plan.shards)?;
    Ok(plan)
}

async fn one_file(input: &Place, file: &InputFile, wanted: &Wanted, rows_wanted: u64) -> Result<Planned, PlanError> {
    let fitting = footer::read(input, file).await?.and_then(|footer| {
        let fit = wanted.fit(&footer.schema, &footer.encrypted)?;
        Ok((fit, footer.groups))
    });
    Ok(match fitting {
        Ok((fit, groups)) => cut_file(file, &groups, fit.has_key, rows_wanted),
        Err(reason) => {
            let InputFile { path, etag, bytes } = file.clone();
            Planned::Refused(RefusedFile { path, etag, bytes, reason })
        }
    })
}

fn cut_file(file: &InputFile, groups: &[RowGroup], has_key: bool, rows_wanted: u64) -> Planned {
    let shards = cut::cut(file, groups, rows_wanted);
    Planned::Cut { shards, has_key, warning: cut::warnings(file, groups, rows_wanted) }
}

fn collect(files: &[InputFile], planned: Vec<Planned>, key: &str) -> Plan {
    let mut plan = Plan { files: files.len() as u64, ..Plan::default() };
    let mut without_key = Vec::new();
    for (file, planned) in files.iter().zip(planned) {
        match planned {
            Planned::Refused(refused) => plan.refused.push(refused),
            Planned::Cut { shards, has_key, warning } => {
                if shards.is_empty() {
                    plan.without_rows.push(file.clone());
                }
                without_key.extend((!has_key).then_some(&file.path));
                plan.warnings.extend(warning);
                plan.rows += shards.iter().map(|shard| shard.rows).sum::<u64>();
                plan.bytes += shards.iter().map(|shard| shard.bytes).sum::<u64>();
                plan.shards.extend(shards);
            }
        }
    }
    // Said once, not once per file: it is one setting.
    if let Some(first) = without_key.first() {
        let (some, all) = (without_key.len(), files.len());
        plan.warnings.push(format!(
            "{some} of {all} files (first: {first}) have no column `{key}` (input.key): their rows get no key"
        ));
    }
    plan
}

fn no_id_twice(shards: &[Shard]) -> Result<(), PlanError> {
    let mut seen = HashSet::with_capacity(shards.len());
    match shards.iter().find(|shard| !seen.insert(&shard.id)) {
        Some(shard) => Err(PlanError::SameId(shard.id.clone())),
        None => Ok(()),
    }
}
