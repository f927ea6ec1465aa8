//! Images of single rows of an input that is not Parquet: the shard is read up to its last sampled row.

use super::no_picture::{NoPicture, READ_BYTES};
use crate::statistics::{CommittedShard, Place};
use bytes::Bytes;
use capfilt_pipeline::input::{ImageInput, InputColumns, READING_BYTES, ReadError, ShardReader};
use capfilt_schemas::settings::Settings;
use capfilt_store::Location;

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 16;

/// The images at places of a shard in ascending order; a shard of more than [`READ_BYTES`] is not read.
/// Memory: the sampled images of the shard, and 16 rows.
pub(super) async fn at(
    input: &Location,
    shard: &CommittedShard,
    settings: &Settings,
    places: &[Place],
) -> Result<Vec<Result<Bytes, NoPicture>>, ReadError> {
    if shard.shard.bytes > READ_BYTES {
        return Ok(vec![Err(NoPicture::TooMuchToRead); places.len()]);
    }
    let columns = InputColumns {
        key: String::new(),
        image: settings.input.image.clone(),
        texts: Vec::new(),
        selection: None,
        passthrough: Vec::new(),
        max_words: 0,
        image_bytes: settings.limits.image_bytes.0,
        text_bytes: 0,
        most_texts: 1,
        seed: 0,
        memory: READING_BYTES,
        links: None,
    };
    let mut reader = ShardReader::open(input, &shard.shard, columns, ROWS_AT_ONCE).await?;
    let mut found = Vec::new();
    while found.len() < places.len() {
        let Some(rows) = reader.next().await? else { break };
        for sample in rows.samples {
            if places.get(found.len()).is_some_and(|place| place.row == sample.row) {
                found.push(match sample.image {
                    ImageInput::Bytes { bytes, .. } => Ok(bytes),
                    _ => Err(NoPicture::Missing),
                });
            }
        }
    }
    found.resize(places.len(), Err(NoPicture::Missing));
    Ok(found)
}
