//! Plans a tar: finds its samples without reading their data.
//!
//! | tar | read by the plan | shards | rows |
//! |---|---|---|---|
//! | local | every header | ranges of samples | exact |
//! | remote, at most [`WHOLE_SHARDS`] shards | its first 256 kB | one | estimated |
//! | the same, in a list of shards | nothing | one | exact |
//! | remote, larger, with an index | the index | ranges of samples | exact |
//! | remote, larger | every header, by ranged reads | ranges of samples | exact |
//! | compressed | its first 256 kB | one | estimated |

mod columns;
mod estimate;
mod index;
mod walk;

use super::columns::Column;
use crate::plan::{
    PlanError,
    contents::{Contents, EMPTY, Rows, Unit, of_file},
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
    rows: Rows,
) -> Result<Result<Contents, String>, PlanError> {
    if file.bytes == 0 {
        return Ok(Err(EMPTY.to_owned()));
    }
    let object = PinnedObject::new(input, file);
    let found = match (is_compressed, input.local_file(&file.path)) {
        (true, _) => estimate::compressed(&object, file, rows.wanted).await,
        (false, Some(path)) => local(&object, file, path, rows.wanted).await,
        (false, None) => remote(input, &object, file, rows).await,
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

/// Columns of the first samples. The inner error is the reason why the file cannot be read.
pub async fn columns(
    input: &Location,
    file: &InputFile,
    is_compressed: bool,
) -> Result<Result<Vec<Column>, String>, PlanError> {
    of_file(file, columns::of_tar(input, file, is_compressed).await)
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
    Rows { wanted, listed }: Rows,
) -> Result<Result<Found, String>, StoreError> {
    let found = match listed.filter(|listed| listed.bytes == Some(file.bytes)) {
        Some(listed) => Found { units: whole(file, listed.rows), rows_exact: true, warnings: Vec::new() },
        None => match estimate::start(object, file).await? {
            Ok(estimated) if estimated.rows_exact => return Ok(Ok(estimated)),
            Ok(estimated) => estimated,
            Err(fault) => return Ok(Err(fault)),
        },
    };
    if rows_of(&found.units) <= wanted.saturating_mul(WHOLE_SHARDS) {
        return Ok(Ok(found));
    }
    if let Some(units) = index::read(input, object, file, wanted).await? {
        return Ok(Ok(Found { units, rows_exact: true, warnings: Vec::new() }));
    }
    let stream = TarStream::of_object(object.clone(), 0..file.bytes, REMOTE_PIECE);
    let walked = walk::all(stream, file.bytes, wanted).await?;
    let (requests, bytes) = walked.cost;
    let cost = format!(
        "{}: the plan read its headers with {requests} requests ({} MB), because it has no usable index \
         ({}.idx)",
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

/// A range of bytes as one unit.
fn unit(start: u64, end: u64, rows: u64) -> Unit {
    Unit { part: Part::Bytes(start..end), rows, bytes: end - start }
}

/// The whole file as one unit.
fn whole(file: &InputFile, rows: u64) -> Vec<Unit> {
    vec![unit(0, file.bytes, rows)]
}
