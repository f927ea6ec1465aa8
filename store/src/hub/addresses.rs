//! Addresses to which the Hub redirected reads of files.
//!
//! Many ranges of a file are read, and each redirect is a request that the Hub counts. An address is signed
//! and ends after about an hour; a refused address is asked for again.

use object_store::path::Path;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use url::Url;

/// Time for which an address is used.
const USED_FOR: Duration = Duration::from_secs(10 * 60);

/// Files with a known address; memory: 2 kB each. When there are more, all are forgotten.
const KEPT: usize = 1000;

/// A redirect, with the Hub's metadata of the file.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub url: Url,
    pub e_tag: Option<String>,
}

/// Known addresses of one repository.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<Path, (Instant, Address)>>);

impl Addresses {
    pub(super) fn of(&self, file: &Path) -> Option<Address> {
        let known = self.lock();
        known.get(file).filter(|(since, _)| since.elapsed() < USED_FOR).map(|(_, address)| address.clone())
    }

    pub(super) fn note(&self, file: &Path, address: Address) {
        let mut known = self.lock();
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(file.clone(), (Instant::now(), address));
    }

    pub(super) fn forget(&self, file: &Path) {
        self.lock().remove(file);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Path, (Instant, Address)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
