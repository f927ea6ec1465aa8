//! The primitive of the commit protocol: creates an object, or reports that it exists.

use crate::{FaultKind, Location, StoreError};
use bytes::Bytes;
use capfilt_schemas::record::Record;
use object_store::{ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use serde::Serialize;
use std::time::Duration;

/// Attempts at a create without an answer; the store's client has retried each of them already.
const ATTEMPTS: u32 = 4;

/// Result of a create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutOutcome {
    /// This call created the object.
    Created,
    /// The object existed, with these bytes.
    Exists(Bytes),
}

impl Location {
    /// Creates `name` with these bytes unless it exists.
    ///
    /// The bytes must contain something that no other process writes (an attempt id). A create whose answer
    /// was lost may have succeeded, and a retry by the client may have met its own first request: the object
    /// is read back, and its bytes decide.
    ///
    /// # Errors
    /// A store that refuses, or does not answer after several attempts. The object may exist or not.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<PutOutcome, StoreError> {
        let path = self.path_of(name);
        let mut tries = 0;
        loop {
            tries += 1;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let put = self.store.put_opts(&path, PutPayload::from_bytes(bytes.clone()), options).await;
            let error = match put {
                Ok(_) => return Ok(PutOutcome::Created),
                Err(error) => error,
            };
            // The stored object decides, not the error.
            let found = async { self.store.get(&path).await?.bytes().await };
            match found.await {
                Ok(found) if found == bytes => return Ok(PutOutcome::Created),
                Ok(found) => return Ok(PutOutcome::Exists(found)),
                Err(_) if tries < ATTEMPTS && is_passing(&error) => {
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                }
                Err(_) => return Err(StoreError::store("create", self.url_of(name), error)),
            }
        }
    }

    /// Creates a JSON record unless it exists, as [`create`](Self::create) does.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub async fn create_record<T: Record + Serialize>(
        &self,
        name: &str,
        record: &T,
    ) -> Result<PutOutcome, StoreError> {
        let bytes = serde_json::to_vec_pretty(record).expect("a record is plain data");
        self.create(name, Bytes::from(bytes)).await
    }
}

/// Whether an error may pass without a change.
fn is_passing(error: &object_store::Error) -> bool {
    !FaultKind::of(error).is_final()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn exactly_one_of_64_racers_creates_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Location::open_without_links(folder.path().to_str().unwrap()).unwrap();
        let racers = (0..64).map(|i| {
            let bucket = bucket.clone();
            tokio::spawn(async move {
                bucket.create("commits/x/0.json", Bytes::from(format!("racer {i}"))).await.unwrap()
            })
        });
        let endings = futures::future::join_all(racers).await;
        let winners =
            endings.iter().filter(|ending| ending.as_ref().unwrap() == &PutOutcome::Created).count();
        assert_eq!(winners, 1);
    }

    #[tokio::test]
    async fn a_create_that_landed_unnoticed_is_ours_and_another_s_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Location::open_without_links(folder.path().to_str().unwrap()).unwrap();
        bucket.write("a", Bytes::from("mine")).await.unwrap();
        assert_eq!(bucket.create("a", Bytes::from("mine")).await.unwrap(), PutOutcome::Created);
        let theirs = PutOutcome::Exists(Bytes::from("mine"));
        assert_eq!(bucket.create("a", Bytes::from("other")).await.unwrap(), theirs);
    }
}
