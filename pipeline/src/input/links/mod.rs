//! Rows whose images are links: a shard is read ahead, its links are fetched in any order, and its rows are
//! returned in the input's order.

mod earlier;
mod read_ahead;

pub use earlier::{EarlierImage, EarlierImages};
pub(in crate::input) use read_ahead::LinkedRows;
pub use read_ahead::ReadOut;

use super::{ReadError, Rows};
use capfilt_links::{Fetcher, Room};
use capfilt_schemas::settings;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Rows that a process reads ahead. Memory: a kilobyte per row, its other values, which count as bytes of
/// the room, and a task per link.
const ROWS_AHEAD: usize = 16_384;

/// Fetching of the links of all shards that a process reads.
#[derive(Debug, Clone)]
pub struct Links {
    fetcher: Arc<Fetcher>,
    /// Bytes of the rows ahead.
    room: Room,
    /// Number of the rows ahead.
    rows: Arc<Semaphore>,
    /// Column with the digest of the image's bytes.
    pub(in crate::input) digest: Option<String>,
    /// Images of the shard's earlier commit, which a repair does not fetch again.
    earlier: Option<Arc<EarlierImages>>,
}

impl Links {
    /// Fetching with these settings; `None` if they do not allow it. `bytes`: memory for the rows ahead.
    /// `outage`: time without a network after which reading fails.
    ///
    /// # Errors
    /// A sentence: the HTTP client cannot be made.
    pub fn new(
        settings: &settings::Links,
        bytes: u64,
        outage: Duration,
    ) -> Result<Option<Arc<Self>>, String> {
        if !settings.fetch {
            return Ok(None);
        }
        Ok(Some(Arc::new(Self {
            fetcher: Arc::new(Fetcher::new(settings, outage)?),
            room: Room::new(bytes),
            rows: Arc::new(Semaphore::new(ROWS_AHEAD)),
            digest: settings.digest.clone(),
            earlier: None,
        })))
    }

    /// The same fetching for a shard that is repaired.
    pub fn with_earlier(&self, earlier: EarlierImages) -> Arc<Self> {
        Arc::new(Self { earlier: Some(Arc::new(earlier)), ..self.clone() })
    }
}

/// The rows of a shard, or what ended their reading.
pub(in crate::input) type RowStream = futures::stream::BoxStream<'static, Result<Rows, ReadError>>;
