//! Plans a job: lists its input, reads the contents of the files, and cuts the files into shards.

use super::{
    PlanError,
    contents::{Contents, Rows},
    formats, input,
    schema_check::RequiredColumns,
    sharding,
};
use capfilt_schemas::{
    plan::{InputFile, RefusedFile, Shard},
    predicate::Predicate,
    settings::Settings,
    size::ByteSize,
};
use capfilt_store::{Location, without_secrets};
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::json;
use std::collections::HashSet;

/// Footers read at the same time: latency is the limit, not bandwidth (64 kB each).
const FOOTERS_AT_ONCE: usize = 32;

/// The work of a job, before any object is written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Shards in the order of file path and part.
    pub shards: Vec<Shard>,
    /// Files without a shard. The other files are cleaned, and the job ends with the exit code of quarantined
    /// data.
    pub refused: Vec<RefusedFile>,
    /// Valid files without a row.
    pub without_rows: Vec<InputFile>,
    /// Sentences for the user; none of them stops a job.
    pub warnings: Vec<String>,
    /// Rows of all shards; an estimate unless `rows_exact`.
    pub rows: u64,
    /// Whether the rows of every shard were counted.
    pub rows_exact: bool,
    /// Compressed bytes of all shards.
    pub bytes: u64,
    /// Input files, refused ones included.
    pub files: u64,
}

impl Plan {
    /// The plan as one JSON object, without the shards.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "files": self.files, "shards": self.shards.len(), "rows": self.rows,
            "rows_exact": self.rows_exact, "bytes": self.bytes,
            "refused": self.refused, "warnings": self.warnings,
        })
    }

    /// The plan for people, without the shards.
    pub fn lines(&self) -> Vec<String> {
        let about = if self.rows_exact { "" } else { "about " };
        let mut lines = vec![
            format!("files   {}", self.files),
            format!("shards  {}", self.shards.len()),
            format!("rows    {about}{}", self.rows),
            format!("bytes   {}", ByteSize(self.bytes)),
        ];
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        lines.extend(self.refused.iter().map(|file| format!("refused: {}: {}", file.path, file.reason)));
        lines
    }
}

/// The planner's result for one file.
enum Planned {
    Cut { shards: Vec<Shard>, has_key: bool, warnings: Vec<String> },
    Refused(RefusedFile),
}

/// Plans a job over `input`: lists its files, pins their states and cuts them into shards. It reads only
/// footers, headers of tars, tables of records and listings of image folders, and writes nothing.
///
/// # Errors
/// A failing store, and an input without a usable file: then the settings are more likely wrong than every
/// file.
pub async fn plan(input: &Location, settings: &Settings) -> Result<Plan, PlanError> {
    let filter = settings.input.filter.as_deref().map(Predicate::parse).transpose()?;
    let required = RequiredColumns::of(&settings.input, filter.as_ref()).with_links(&settings.links);
    let input::Found { files, refused, neighbours, listed, warnings } =
        input::find(input, &settings.job.url).await?;
    let footers = futures::stream::iter(&files).map(async |file| {
        let rows = Rows { wanted: settings.shards.rows, listed: listed.get(&file.path).copied() };
        let planned = one_file(input, file, &required, rows).await?;
        Ok::<_, PlanError>(match neighbours.get(&file.path) {
            Some(neighbour) => with_missing_rows(input, planned, neighbour).await,
            None => planned,
        })
    });
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

async fn one_file(
    input: &Location,
    file: &InputFile,
    required: &RequiredColumns,
    rows: Rows,
) -> Result<Planned, PlanError> {
    let contents = formats::contents(input, file, required.assumed(), rows).await?;
    let fitting = contents.and_then(|contents| {
        let fit = required.check(&contents.schema, &contents.encrypted)?;
        Ok((fit, contents))
    });
    Ok(match fitting {
        Ok((fit, contents)) => cut_file(file, contents, fit.has_key, rows.wanted),
        Err(reason) => {
            let InputFile { path, etag, bytes } = file.clone();
            Planned::Refused(RefusedFile { path, etag, bytes, reason })
        }
    })
}

/// Adds a sentence about the rows of img2dataset's table that are not in the tar beside it. The status and
/// the ids of the rows in the tar are also in its JSON.
async fn with_missing_rows(input: &Location, mut planned: Planned, neighbour: &InputFile) -> Planned {
    let Planned::Cut { shards, warnings, .. } = &mut planned else { return planned };
    // The job does not need the table, so a table that is damaged, changed or unreachable stops no plan.
    let Ok(Ok(listed)) = formats::footer::read(input, neighbour).await else { return planned };
    let listed: u64 = listed.units.iter().map(|unit| unit.rows).sum();
    let there: u64 = shards.iter().map(|shard| shard.rows).sum();
    if let Some(first) = shards.first().filter(|_| there < listed && shards.iter().all(|s| s.rows_exact)) {
        warnings.push(format!(
            "{}: {there} of the {listed} rows of {} are in the tar; img2dataset did not fetch \
             the other images",
            first.file.path, neighbour.path
        ));
    }
    planned
}

fn cut_file(file: &InputFile, contents: Contents, has_key: bool, rows_wanted: u64) -> Planned {
    let Contents { units, rows_exact, mut warnings, .. } = contents;
    let shards = sharding::shards(file, &units, rows_exact, rows_wanted);
    warnings.extend(sharding::warning(file, &units, rows_wanted));
    Planned::Cut { shards, has_key, warnings }
}

fn collect(files: &[InputFile], planned: Vec<Planned>, key: &str) -> Plan {
    let mut plan = Plan { files: files.len() as u64, rows_exact: true, ..Plan::default() };
    let mut without_key = Vec::new();
    for (file, planned) in files.iter().zip(planned) {
        match planned {
            Planned::Refused(refused) => plan.refused.push(refused),
            Planned::Cut { shards, has_key, warnings } => {
                if shards.is_empty() {
                    plan.without_rows.push(file.clone());
                }
                without_key.extend((!has_key).then_some(&file.path));
                plan.warnings.extend(warnings);
                plan.rows += shards.iter().map(|shard| shard.rows).sum::<u64>();
                plan.rows_exact &= shards.iter().all(|shard| shard.rows_exact);
                plan.bytes += shards.iter().map(|shard| shard.bytes).sum::<u64>();
                plan.shards.extend(shards);
            }
        }
    }
    // One warning for all files: one setting is the cause.
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
