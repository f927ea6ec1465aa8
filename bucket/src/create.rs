//! The one primitive: create an object, or learn that it exists.

use crate::{Bucket, BucketError, FaultKind};
use bytes::Bytes;
use object_store::{ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use std::time::Duration;

/// Tries at a create whose answer does not come; the store's client has retried each of them already.
const TRIES: u32 = 4;

/// How a create ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation {
    /// The object is there and it is ours.
    Created,
    /// The object was there before, with these bytes.
    Exists(Bytes),
}

impl Bucket {
    /// Creates `name` with these bytes unless it exists.
    ///
    /// The bytes must hold something no other writer writes (an attempt id): a create whose answer got lost
    /// may have won, or a client's own retry may have met its first try; reading back and comparing tells.
    ///
    /// # Errors
    /// When the store refuses or does not answer after several tries. The object may or may not be there
    /// then.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<Creation, BucketError> {
        let path = self.place.path_of(name);
        let mut tries = 0;
        loop {
            tries += 1;
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let put = self.place.store.put_opts(&path, PutPayload::from_bytes(bytes.clone()), options).await;
            let error = match put {
                Ok(_) => return Ok(Creation::Created),
                Err(error) => error,
            };
            // Whatever the error says, what counts is what is there.
            let found = async { self.place.store.get(&path).await?.bytes().await };
            match found.await {
                Ok(found) if found == bytes => return Ok(Creation::Created),
                Ok(found) => return Ok(Creation::Exists(found)),
                Err(_) if tries < TRIES && is_passing(&error) => {
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                }
                Err(_) => return Err(BucketError::store("create", self.place.url_of(name), error)),
            }
        }
    }
}

/// Whether an error may go away by itself.
fn is_passing(error: &object_store::Error) -> bool {
    !FaultKind::of(error).is_final()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn exactly_one_of_64_racers_creates_an_object() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::open(folder.path().to_str().unwrap()).unwrap();
        let racers = (0..64).map(|i| {
            let bucket = bucket.clone();
            tokio::spawn(async move {
                bucket.create("commits/x/0.json", Bytes::from(format!("racer {i}"))).await.unwrap()
            })
        });
        let endings = futures::future::join_all(racers).await;
        let winners = endings.iter().filter(|ending| ending.as_ref().unwrap() == &Creation::Created).count();
        assert_eq!(winners, 1);
    }

    #[tokio::test]
    async fn a_create_that_landed_unnoticed_is_ours_and_another_s_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Bucket::open(folder.path().to_str().unwrap()).unwrap();
        bucket.write("a", Bytes::from("mine")).await.unwrap();
        assert_eq!(bucket.create("a", Bytes::from("mine")).await.unwrap(), Creation::Created);
        let theirs = Creation::Exists(Bytes::from("mine"));
        assert_eq!(bucket.create("a", Bytes::from("other")).await.unwrap(), theirs);
    }
}
