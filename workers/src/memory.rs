//! Bytes of rows on their way through the stages, held against a bound.
//!
//! A row is counted from before it is handed to the decoder until it is written: its encoded image, its
//! texts, its pass-through columns, and the pixels the models will get. The reader waits while the bound is
//! reached; everything after it goes on, so the wait ends.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a batch's rows, unless one row alone has more.
///
/// The same on every machine: another bound would be another batch, and a score's last bit depends on its
/// batch.
pub(crate) const BATCH_BYTES: u64 = 256 << 20;

/// A unit of the count: a semaphore counts no further than 2^32.
const UNIT: u64 = 1 << 10;

/// The count of one worker.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    free: Arc<Semaphore>,
    /// What one chunk is counted as at most: one with a single row may have more than there is room for.
    most: u64,
}

/// A chunk's share, given back when the last of its rows is written.
#[derive(Debug)]
pub(crate) struct Held(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl InFlight {
    /// Room for so many bytes, and in any case for twice a batch, whose models' pixels have `pixels` bytes.
    ///
    /// Rows that wait for their batch to be full take less than a batch, and a chunk that is in part in the
    /// batch before is still counted whole: at least a quarter of the room is left, and so the next chunk's
    /// share.
    pub(crate) fn new(bytes: u64, pixels: u64) -> Self {
        let bytes = bytes.max(2 * (BATCH_BYTES + pixels));
        let units = (bytes / UNIT).min(u64::from(u32::MAX)).min(Semaphore::MAX_PERMITS as u64);
        Self { free: Arc::new(Semaphore::new(units as usize)), most: units * UNIT / 4 }
    }

    /// Waits for room.
    pub(crate) async fn take(&self, bytes: u64) -> Arc<Held> {
        let units = bytes.min(self.most) / UNIT;
        let permit = Arc::clone(&self.free).acquire_many_owned(units as u32).await;
        Arc::new(Held(permit.expect("nobody closes the semaphore")))
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
