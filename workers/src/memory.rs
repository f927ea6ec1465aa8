//! Counts the bytes of rows between reading and writing, up to a bound.
//!
//! A row counts from before it is passed to the decoder until it is written: its encoded image, its texts,
//! its pass-through columns, and the pixels for the models. The reader waits while the bound is reached;
//! later stages continue, so the wait ends.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most bytes of a batch's rows, unless a single row has more.
///
/// The value is equal on every machine: another value would give other batches, and the last bit of a score
/// depends on its batch.
pub(crate) const BATCH_BYTES: u64 = 256 << 20;

/// Unit of the count in bytes: a semaphore counts at most 2^32 permits.
const UNIT: u64 = 1 << 10;

/// The bytes in flight of one worker process.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    free: Arc<Semaphore>,
    /// Most bytes that one chunk counts for: a chunk of a single row may be larger than the bound.
    most: u64,
}

/// A chunk's share, returned when the last of its rows is written.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "held for its destructor")] OwnedSemaphorePermit);

impl InFlight {
    /// Room for `bytes` bytes, and at least for two batches, each with `pixels` bytes of pixels for the
    /// models.
    ///
    /// Rows that wait for a full batch have less than a batch, and a chunk that is partly in an earlier batch
    /// is counted whole. At least a quarter of the room is therefore free, which is the most that the next
    /// chunk counts for.
    pub(crate) fn new(bytes: u64, pixels: u64) -> Self {
        let bytes = bytes.max(2 * (BATCH_BYTES + pixels));
        let units = (bytes / UNIT).min(u64::from(u32::MAX)).min(Semaphore::MAX_PERMITS as u64);
        Self { free: Arc::new(Semaphore::new(units as usize)), most: units * UNIT / 4 }
    }

    /// Waits for room.
    pub(crate) async fn take(&self, bytes: u64) -> Arc<Held> {
        let units = bytes.min(self.most) / UNIT;
        let permit = Arc::clone(&self.free).acquire_many_owned(units as u32).await;
        Arc::new(Held(permit.expect("the semaphore is never closed")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_chunk_waits_for_room_and_one_larger_than_all_room_is_let_in() {
        let in_flight = InFlight::new(0, 0);
        let quarter = BATCH_BYTES / 2;
        let mut held = vec![in_flight.take(quarter).await, in_flight.take(u64::MAX).await];
        held.push(in_flight.take(quarter).await);
        held.push(in_flight.take(4 * quarter).await);
        let waits = tokio::time::timeout(std::time::Duration::from_millis(1), in_flight.take(UNIT));
        assert!(waits.await.is_err(), "all room is taken");
        held.pop();
        drop(in_flight.take(UNIT).await);
    }
}
