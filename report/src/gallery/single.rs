//! The picture of one row, for pages that choose their rows.

use super::{NoPicture, Thumbnail, pictures::Pictures, rows};
use crate::statistics::{CommittedShard, place_of};
use capfilt_schemas::settings::Settings;
use capfilt_store::Location;

/// The picture of a row of a committed shard, by the number of the row in the input file; it has at most
/// `most_bytes` bytes. Memory: an encoded and a decoded image, and a batch of the ledger.
///
/// # Errors
/// The reason why there is no picture.
pub async fn picture(
    bucket: &Location,
    settings: &Settings,
    shard: &CommittedShard,
    row: u64,
    most_bytes: usize,
) -> Result<Thumbnail, NoPicture> {
    let place = place_of(bucket, shard, row).await.map_err(|_| NoPicture::Unreadable)?;
    let places = [place.ok_or(NoPicture::Missing)?];
    let read = rows::at(bucket, &shard.ledger, &places).await;
    let rows = read.map_err(|_| NoPicture::Unreadable)?;
    let pictures = Pictures::new(bucket, settings, most_bytes).of(shard, &places, &rows).await;
    pictures.into_iter().next().unwrap_or(Err(NoPicture::Missing))
}
