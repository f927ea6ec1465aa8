//! Estimates the rows of a tar from its beginning.

use super::{Found, whole};
use capfilt_schemas::plan::InputFile;
use capfilt_store::{
    PinnedObject, StoreError,
    tar::{TarItem, TarStream},
};

/// Bytes of the beginning of a tar that are read.
const START_BYTES: u64 = 256 << 10;

/// Samples after which the estimate is good enough. Headers behind large members cost a request each.
const SAMPLES: u64 = 64;

/// Headers that are read at most.
const HEADERS: usize = 32;

/// Reads the beginning of a tar: it must be a tar, and its samples give the rows of the rest.
pub(super) async fn start(
    object: &PinnedObject,
    file: &InputFile,
) -> Result<Result<Found, String>, StoreError> {
    let stream = TarStream::of_object(object.clone(), 0..file.bytes, START_BYTES);
    of_stream(stream, file, HEADERS).await
}

/// As [`start`], for a compressed tar, which is always one shard.
pub(super) async fn compressed(
    object: &PinnedObject,
    file: &InputFile,
    rows_wanted: u64,
) -> Result<Result<Found, String>, StoreError> {
    let stream = TarStream::of_gzip(object.clone(), START_BYTES);
    // Members of a compressed tar cannot be skipped without reading: one is enough.
    let found = of_stream(stream, file, usize::MAX).await?;
    Ok(found.map(|mut found| {
        let rows = super::rows_of(&found.units);
        if rows > rows_wanted.saturating_mul(super::WHOLE_SHARDS) {
            found.warnings.push(format!(
                "{}: a compressed tar is one shard, of about {rows} rows; shards.rows is {rows_wanted}: \
                 write it without compression, as images are compressed",
                file.path
            ));
        }
        found
    }))
}

async fn of_stream(
    mut stream: TarStream,
    file: &InputFile,
    most_headers: usize,
) -> Result<Result<Found, String>, StoreError> {
    let (mut begun, mut headers, mut last_begin) = (0_u64, 0, 0);
    let found = |rows, rows_exact| Found { units: whole(file, rows), rows_exact, warnings: Vec::new() };
    loop {
        match stream.next().await? {
            None => {
                let units = if begun == 0 { Vec::new() } else { whole(file, begun) };
                return Ok(Ok(Found { units, rows_exact: true, warnings: Vec::new() }));
            }
            Some(TarItem::Damage { why, .. }) if begun == 0 => {
                return Ok(Err(format!("not readable as a tar: {why}")));
            }
            // The reader reports damage as a row.
            Some(TarItem::Damage { .. }) => return Ok(Ok(found(begun + 1, true))),
            Some(TarItem::Member(member)) => {
                headers += 1;
                if member.is_first {
                    (begun, last_begin) = (begun + 1, stream.at_in_object());
                }
            }
        }
        let is_enough = stream.at_in_object() > START_BYTES || headers >= most_headers || begun > SAMPLES;
        if begun > 1 && is_enough {
            let sample_bytes = (last_begin / (begun - 1)).max(1);
            return Ok(Ok(found((file.bytes / sample_bytes).max(begun), false)));
        }
        if begun == 1 && headers >= HEADERS {
            return Ok(Ok(found((file.bytes / stream.at_in_object().max(1)).max(1), false)));
        }
    }
}
