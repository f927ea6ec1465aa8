//! Bytes that fetched images may use until their rows are passed on.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Unit of the count in bytes: a semaphore counts at most 2^32 permits.
const UNIT: u64 = 1 << 10;

/// Bytes of all fetched images of a process that wait for their turn.
#[derive(Debug, Clone)]
pub struct Room {
    free: Arc<Semaphore>,
    units: u32,
}

impl Room {
    /// Room for `bytes` bytes.
    pub fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        Self { free: Arc::new(Semaphore::new(units as usize)), units }
    }

    /// Seat of the row with a number. `first` is the number of the row that is passed on next: that row needs
    /// no room, so one image at a time may exceed the room, and the rows behind it never block it.
    pub fn seat(&self, number: u64, first: watch::Receiver<u64>) -> Seat {
        Seat { room: self.clone(), number, first, held: None }
    }

    fn units(&self, bytes: u64) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.units)
    }
}

/// A row's share of the room, returned when it is dropped.
#[derive(Debug)]
pub struct Seat {
    room: Room,
    number: u64,
    first: watch::Receiver<u64>,
    held: Option<OwnedSemaphorePermit>,
}

impl Seat {
    /// Waits until `bytes` bytes are held, or the row is the first.
    pub async fn hold(&mut self, bytes: u64) {
        let missing = self.missing(bytes);
        if missing == 0 {
            return;
        }
        let free = Arc::clone(&self.room.free);
        let (number, mut first) = (self.number, self.first.clone());
        tokio::select! {
            permit = free.acquire_many_owned(missing) => self.add(permit.expect("it is never closed")),
            // The sender is gone with the reader of the rows, and then nothing is waited for.
            _ = first.wait_for(|first| *first >= number) => {}
        }
    }

    /// Holds `bytes` bytes if there is room, or if the row is the first.
    pub(crate) fn try_hold(&mut self, bytes: u64) -> bool {
        let missing = self.missing(bytes);
        if missing == 0 || *self.first.borrow() >= self.number {
            return true;
        }
        let permit = Arc::clone(&self.room.free).try_acquire_many_owned(missing);
        permit.map(|permit| self.add(permit)).is_ok()
    }

    /// Returns what exceeds `bytes` bytes.
    pub(crate) fn keep(&mut self, bytes: u64) {
        let kept = self.room.units(bytes) as usize;
        if let Some(held) = &mut self.held {
            let more = held.num_permits().saturating_sub(kept);
            drop(held.split(more));
        }
    }

    fn missing(&self, bytes: u64) -> u32 {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) as u32;
        self.room.units(bytes).saturating_sub(held)
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            held => *held = Some(permit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn rows_wait_for_room_and_the_first_row_never_does() {
        let room = Room::new(10 << 10);
        let (first, watched) = watch::channel(0);
        let mut a = room.seat(0, watched.clone());
        let mut b = room.seat(1, watched.clone());
        let mut c = room.seat(2, watched);
        b.hold(8 << 10).await;
        assert!(!c.try_hold(4 << 10) && c.try_hold(2 << 10));
        assert!(a.try_hold(1 << 30), "the first row needs no room");
        a.hold(1 << 30).await;
        let short = Duration::from_millis(1);
        assert!(tokio::time::timeout(short, c.hold(3 << 10)).await.is_err());
        b.keep(1 << 10);
        c.hold(9 << 10).await;
        assert!(tokio::time::timeout(short, b.hold(2 << 10)).await.is_err());
        first.send_replace(1);
        b.hold(1 << 30).await;
        drop(c);
        assert_eq!(room.free.available_permits(), 9);
    }
}
