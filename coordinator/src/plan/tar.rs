//! Plans a tar: finds its samples without reading their data.
//!
//! | tar | read by the plan | shards | rows |
//! |---|---|---|---|
//! | local | every header | ranges of samples | exact |
//! | remote, at most [`WHOLE_SHARDS`] shards | its first 256 kB | one | estimated |
//! | remote, larger, with an index | the index | ranges of samples | exact |
//! | remote, larger | every header, by ranged reads | ranges of samples | exact |
//! | compressed | its first 256 kB | one | estimated |

mod estimate;
mod index;
mod walk;

use super::{
    PlanError,
    contents::{Contents, EMPTY, Unit, of_file},
};
use arrow::datatypes::Schema;
use capfilt_schemas::plan::{InputFile, Part};
use capfilt_store::{
    Location, PinnedObject, StoreError,
    tar::{BLOCK, TarStream},
};
use std::fs::File;
use tokio::{runtime::Handle, task::spawn_blocking};
use walk::Walked;

/// A remote tar with at most the rows of this number of shards is one shard: its headers are spread over all
/// of its bytes, so a request for each costs more time than the tar's own.
const WHOLE_SHARDS: u64 = 4;

/// Bytes that are read at a time. Small members beside each other share a piece.
const LOCAL_PIECE: u64 = 4 << 10;
const REMOTE_PIECE: u64 = 64 << 10;

/// Units of a tar, before the columns of the job are added.
pub(super) struct Found {
    units: Vec<Unit>,
    rows_exact: bool,
    warnings: Vec<String>,
}

/// Reads what the plan needs of a tar. The columns are those that the job reads, of the types in `schema`.
/// The inner error is the reason why the file is refused.
pub async fn read(
    input: &Location,
    file: &InputFile,
    is_compressed: bool,
    schema: Schema,
    rows_wanted: u64,
) -> Result<Result<Contents, String>, PlanError> {
    if file.bytes == 0 {
        return Ok(Err(EMPTY.to_owned()));
    }
    let object = PinnedObject::new(input, file);
    let found = match (is_compressed, input.local_file(&file.path)) {
        (true, _) => estimate::compressed(&object, file, rows_wanted).await,
        (false, Some(path)) => local(&object, file, path, rows_wanted).await,
        (false, None) => remote(input, &object, file, rows_wanted).await,
    };
    let contents = |Found { units, rows_exact, warnings }| Contents {
        schema,
        encrypted: Vec::new(),
        units,
        rows_exact,
        warnings,
    };
    Ok(of_file(file, found)?.map(contents))
}

/// Walks all headers of a local file. The walk reads the file directly, between two checks of its state.
async fn local(
    object: &PinnedObject,
    file: &InputFile,
    path: std::path::PathBuf,
    rows_wanted: u64,
) -> Result<Result<Found, String>, StoreError> {
    let first = 0..BLOCK.min(file.bytes);
    object.range(first.clone()).await?;
    let (shown, bytes) = (path.display().to_string(), file.bytes);
    let opened = File::open(&path).map_err(|source| StoreError::Local { path: shown.clone(), source })?;
    let stream = TarStream::of_file(opened, path, bytes, LOCAL_PIECE);
    let runtime = Handle::current();
    let walking = spawn_blocking(move || runtime.block_on(walk::all(stream, bytes, rows_wanted)));
    let walked = walking.await.map_err(|error| StoreError::Refused(format!("{shown}: {error}")))?;
    object.range(first).await?;
    Ok(exact(file, walked?))
}

async fn remote(
    input: &Location,
    object: &PinnedObject,
    file: &InputFile,
    rows_wanted: u64,
) -> Result<Result<Found, String>, StoreError> {
    let estimated = match estimate::start(object, file).await? {
        Ok(estimated) => estimated,
        Err(fault) => return Ok(Err(fault)),
    };
    if estimated.rows_exact || rows_of(&estimated.units) <= rows_wanted.saturating_mul(WHOLE_SHARDS) {
        return Ok(Ok(estimated));
    }
    if let Some(units) = index::read(input, file, rows_wanted).await? {
        return Ok(Ok(Found { units, rows_exact: true, warnings: Vec::new() }));
    }
    let stream = TarStream::of_object(object.clone(), 0..file.bytes, REMOTE_PIECE);
    let walked = walk::all(stream, file.bytes, rows_wanted).await?;
    let (requests, bytes) = walked.cost;
    let cost = format!(
        "{}: the plan read its headers with {requests} requests ({} MB), because it has no index ({}.idx)",
        file.path,
        bytes / 1_000_000,
        file.path
    );
    Ok(exact(file, walked).map(|mut found| {
        found.warnings.push(cost);
        found
    }))
}

/// The result of a walk over all headers. A tar without a sample before its damage is refused.
fn exact(file: &InputFile, walked: Walked) -> Result<Found, String> {
    let Walked { units, damage, rows, .. } = walked;
    let damaged = match damage {
        Some((_, why)) if rows == 0 => return Err(format!("not readable as a tar: {why}")),
        damage => damage.map(|(at, why)| {
            format!(
                "{} is damaged at byte {at} ({why}): the samples before it are read, and one more row has \
                 the status image_unreadable",
                file.path
            )
        }),
    };
    Ok(Found { units, rows_exact: true, warnings: damaged.into_iter().collect() })
}

fn rows_of(units: &[Unit]) -> u64 {
    units.iter().map(|unit| unit.rows).sum()
}

/// The whole file as one unit.
fn whole(file: &InputFile, rows: u64) -> Vec<Unit> {
    vec![Unit { part: Part::Bytes(0..file.bytes), rows, bytes: file.bytes }]
}
