//! Bounds the number of uploads that share this machine's line.
//!
//! Many uploads at once keep a fast line busy. Over a slow line they starve each other, and none ends within
//! its patience. A stalled upload therefore halves the number of uploads at once, and successful uploads
//! slowly raise it.

use std::sync::{LazyLock, Mutex, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Most uploads at once. Memory: this number of parts of 8 MiB, beside those that wait.
const MOST: usize = 16;

/// Shorter bodies need no permit. Bytes.
const LARGE: u64 = 1 << 20;

/// Successful uploads before the number of uploads at once grows by one.
const WELL: u64 = 16;

/// Line of this process.
static UPLINK: LazyLock<Uplink> = LazyLock::new(Uplink::default);

struct Uplink {
    open: Semaphore,
    width: Mutex<Width>,
}

/// Number of uploads at once.
struct Width {
    wanted: usize,
    /// Existing permits, held or free: more than `wanted` until their holders return them.
    permits: usize,
    went_well: u64,
}

impl Default for Uplink {
    fn default() -> Self {
        let width = Width { wanted: MOST, permits: MOST, went_well: 0 };
        Self { open: Semaphore::new(MOST), width: Mutex::new(width) }
    }
}

/// Permit for an upload.
pub(super) struct Permit {
    uplink: &'static Uplink,
    permit: SemaphorePermit<'static>,
}

/// Waits until a body of this length may be sent; `None` for one that needs no permit.
pub(super) async fn permit(bytes: u64) -> Option<Permit> {
    if bytes < LARGE { None } else { Some(UPLINK.permit().await) }
}

impl Uplink {
    async fn permit(&'static self) -> Permit {
        Permit { uplink: self, permit: self.open.acquire().await.expect("the semaphore is never closed") }
    }
}

impl Permit {
    /// Returns the permit and adapts the number of uploads to the result.
    pub(super) fn settle(self, went_well: bool, host: &str) {
        let Self { uplink, permit } = self;
        let mut width = uplink.width.lock().unwrap_or_else(PoisonError::into_inner);
        if went_well {
            width.went_well += 1;
            if width.went_well.is_multiple_of(WELL) && width.wanted < MOST {
                width.wanted += 1;
                if width.permits < width.wanted {
                    width.permits += 1;
                    uplink.open.add_permits(1);
                }
            }
        } else {
            width.went_well = 0;
            // Uploads that stall together are one event: the number is halved again only after the first
            // halving has taken effect.
            if width.permits <= width.wanted && width.wanted > 1 {
                width.wanted /= 2;
                tracing::warn!("an upload to {host} stalled: continuing with {} at once", width.wanted);
            }
        }
        let surplus = width.permits - width.wanted.min(width.permits);
        if surplus > 0 {
            permit.forget();
            width.permits -= 1 + uplink.open.forget_permits(surplus - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stalled_upload_halves_how_many_go_out_at_once_and_good_ones_widen_the_line_again() {
        let uplink: &'static Uplink = Box::leak(Box::default());
        let at_once = || uplink.open.available_permits();
        for expected in [8, 4, 2, 1, 1] {
            uplink.permit().await.settle(false, "host");
            assert_eq!(at_once(), expected);
        }
        for _ in 0..WELL {
            uplink.permit().await.settle(true, "host");
        }
        assert_eq!(at_once(), 2);
        for _ in 0..WELL * 20 {
            uplink.permit().await.settle(true, "host");
        }
        assert_eq!(at_once(), MOST);
    }

    #[tokio::test]
    async fn permits_that_others_hold_are_not_given_out_twice() {
        let uplink: &'static Uplink = Box::leak(Box::default());
        let mut held = Vec::new();
        for _ in 0..MOST {
            held.push(uplink.permit().await);
        }
        held.drain(..).for_each(|permit| permit.settle(false, "host"));
        assert_eq!(uplink.open.available_permits(), 1);
    }
}
