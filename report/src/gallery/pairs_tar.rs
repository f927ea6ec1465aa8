//! Images of single rows of pairs that are a tar: the tar is read up to the last sampled row.

use super::no_picture::{NoPicture, READ_BYTES};
use crate::statistics::Place;
use bytes::Bytes;
use capfilt_pipeline::input::{PairsReader, ReadError};
use capfilt_schemas::commit::Output;
use capfilt_store::Location;
use std::collections::BTreeMap;

/// The images of kept rows, by their number in the pairs; a tar of more than [`READ_BYTES`] is not read.
/// Memory: the sampled images of the shard, and the reader's.
pub(super) async fn at(
    bucket: &Location,
    pairs: &Output,
    places: &[Place],
) -> Result<Vec<Result<Bytes, NoPicture>>, ReadError> {
    if pairs.bytes > READ_BYTES {
        return Ok(vec![Err(NoPicture::TooMuchToRead); places.len()]);
    }
    let wanted: BTreeMap<u64, usize> =
        places.iter().enumerate().filter_map(|(at, place)| Some((place.pair?, at))).collect();
    let mut found = vec![Err(NoPicture::Missing); places.len()];
    let (mut reader, mut row, mut open) = (PairsReader::open(bucket, pairs).await?, 0, wanted.len());
    while open > 0 {
        let Some(rows) = reader.next().await? else { break };
        for one in rows.rows {
            if let Some(at) = wanted.get(&row) {
                found[*at] = Ok(one.image);
                open -= 1;
            }
            row += 1;
        }
    }
    Ok(found)
}
