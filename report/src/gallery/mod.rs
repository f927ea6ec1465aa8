//! The sampled rows of a job: texts, scores and thumbnails.

mod cells;
mod input_rows;
mod no_picture;
mod pairs_tar;
mod pictures;
mod rows;
mod single;
mod thumbnail;

pub use no_picture::NoPicture;
pub use single::picture;
pub use thumbnail::Thumbnail;

use crate::{ReportError, Statistics, statistics::Place};
use capfilt_pipeline::output::LedgerError;
use capfilt_schemas::{hash::sha256_hex, ledger::LedgerRow, texts::WEB};
use capfilt_store::Location;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use pictures::Pictures;
use std::{collections::HashMap, sync::Arc};

/// Shards whose rows are read at the same time. Memory per shard: its sampled rows, and one encoded and one
/// decoded image.
const SHARDS_AT_ONCE: usize = 4;

/// Bytes of all thumbnails, before base64. A page of 8 MB has room for its rows beside them.
const THUMBNAIL_BYTES: usize = 3_300_000;

/// Most bytes of one thumbnail.
const BYTES_EACH: usize = 12_000;

/// A sampled row.
#[derive(Debug, Clone)]
pub struct Card {
    /// Place of the row.
    pub place: Place,
    /// Stable name of the row, from file and row number.
    pub id: String,
    /// The row of the ledger.
    pub row: LedgerRow,
    /// The picture, or the reason why there is none.
    pub picture: Result<Thumbnail, NoPicture>,
}

/// All sampled rows, in the order of shards and rows.
#[derive(Debug, Clone, Default)]
pub struct Gallery {
    /// The rows.
    pub cards: Vec<Card>,
    by_place: HashMap<(u32, u64), usize>,
}

impl Gallery {
    /// A gallery of these rows.
    pub fn new(cards: Vec<Card>) -> Self {
        let by_place = cards.iter().enumerate();
        let by_place = by_place.map(|(at, card)| ((card.place.shard, card.place.offset), at)).collect();
        Self { cards, by_place }
    }

    /// Number of the row at a place.
    pub fn find(&self, place: &Place) -> Option<usize> {
        self.by_place.get(&(place.shard, place.offset)).copied()
    }
}

/// Name of a row in addresses of the page: the beginning of the digest of `file#row`.
pub fn anchor(file: &str, row: u64) -> String {
    format!("row-{}", &sha256_hex(format!("{file}#{row}").as_bytes())[..16])
}

/// Reads the rows that statistics have sampled. A picture that cannot be read has a reason instead.
///
/// # Errors
/// A ledger cannot be read.
pub async fn read(bucket: &Location, statistics: &Statistics) -> Result<Gallery, ReportError> {
    let places = statistics.places();
    let bytes_each = (THUMBNAIL_BYTES / places.len().max(1)).min(BYTES_EACH);
    let pictures = &Pictures::new(bucket, &statistics.job.settings, bytes_each);
    let of_shards = places.chunk_by(|a, b| a.shard == b.shard);
    let cards = stream::iter(of_shards).map(async |places| {
        let shard = &statistics.committed[places[0].shard as usize];
        let read = rows::at(bucket, &shard.ledger, places).await;
        let object = || bucket.url_of(&shard.ledger.path);
        let mut rows = read.map_err(|source| LedgerError { object: object(), source })?;
        if let [column] = statistics.job.settings.input.text.names() {
            let name: Arc<str> = column.as_str().into();
            rows.iter_mut().for_each(|row| row.rename_source(WEB, &name));
        }
        let pictures = pictures.of(shard, places, &rows).await;
        let parts = places.iter().zip(rows).zip(pictures);
        let card = |((place, row), picture): ((&Place, LedgerRow), _)| Card {
            place: *place,
            id: anchor(&row.file, row.row),
            row,
            picture,
        };
        Ok::<_, ReportError>(parts.map(card).collect::<Vec<Card>>())
    });
    let cards: Vec<Vec<Card>> = cards.buffered(SHARDS_AT_ONCE).try_collect().await?;
    Ok(Gallery::new(cards.into_iter().flatten().collect()))
}
