//! A cloud store whose requests are repeated when an answer breaks off, and while the store is unavailable.
//!
//! object_store's clients repeat requests after errors that usually pass (429, 5xx, failed connections), for
//! some seconds and with one signature. Later failures are handled here: the request is made again, with a
//! new signature, for as long as [`crate::outage`] allows. A page of a listing, the text of an error and the
//! bytes of an object are also requested again when they end too early.

mod listing;
mod reading;
mod uploading;

use crate::{
    FaultKind, fault,
    outage::{Health, Patience},
};
use futures::{StreamExt as _, stream::BoxStream};
use listing::Listing;
use object_store::{
    CopyOptions, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result, multipart::MultipartStore, path::Path,
};
use std::{fmt, ops::Range, sync::Arc};
use uploading::Uploading;

/// Objects deleted at the same time.
const DELETES_AT_ONCE: usize = 10;

/// The store, with repetition of every request that is safe to repeat. A create is not: its caller reads the
/// object before the create is repeated.
#[derive(Debug, Clone)]
pub(crate) struct RetryingStore(Arc<Inner>);

struct Inner {
    store: Arc<dyn ObjectStore>,
    /// The same store, for multipart uploads.
    parts: Arc<dyn MultipartStore>,
    health: Arc<Health>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(out)
    }
}

impl RetryingStore {
    /// `url` is the beginning of the store's URLs: scheme and bucket.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, parts: Arc<dyn MultipartStore>, url: &str) -> Self {
        Self(Arc::new(Inner { store, parts, health: Health::of(url) }))
    }
}

impl Inner {
    /// Makes a request until it is answered completely, fails for another reason, or has failed for too long.
    async fn ask<T, Asked: Future<Output = Result<T>>>(&self, ask: impl Fn() -> Asked) -> Result<T> {
        let mut patience = Patience::new(&self.health);
        loop {
            let answer = ask().await;
            self.health.note(&answer);
            match answer {
                Err(error) if patience.goes_on(&error).await => {}
                answer => return answer,
            }
        }
    }
}

impl Inner {
    /// Repeats a refused HEAD as a GET of one byte, because the answer to HEAD has no body for a reason.
    async fn why(
        &self,
        location: &Path,
        options: &GetOptions,
        error: object_store::Error,
    ) -> Result<GetResult> {
        let options = GetOptions { head: false, range: Some(GetRange::Bounded(0..1)), ..options.clone() };
        match self.store.get_opts(location, options).await {
            Ok(found) => Ok(found),
            Err(full) if FaultKind::of(&full).is_answer() && !fault::is_mute(&full) => Err(full),
            Err(_) => Err(error),
        }
    }
}

impl fmt::Display for RetryingStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.store.fmt(out)
    }
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for RetryingStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.0.ask(|| self.0.store.get_opts(location, options.clone())).await;
        let found = match found {
            Err(error) if options.head && fault::is_mute(&error) => {
                self.0.why(location, &options, error).await?
            }
            found => found?,
        };
        Ok(if options.head { found } else { reading::read_on(&self.0, location, found) })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.0.ask(|| self.0.store.get_ranges(location, ranges)).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        Listing::open(&self.0, prefix, None).stream()
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        Listing::open(&self.0, prefix, Some(offset)).stream()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.ask(|| self.0.store.list_with_delimiter(prefix)).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Overwrite => {
                self.0.ask(|| self.0.store.put_opts(location, payload.clone(), options.clone())).await
            }
            PutMode::Create | PutMode::Update(_) => self.0.store.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let id = self.0.ask(|| self.0.parts.create_multipart_opts(location, options.clone())).await?;
        Ok(Box::new(Uploading::new(Arc::clone(&self.0), location.clone(), id)))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.0);
        let deletes = locations.map(move |location| {
            let inner = Arc::clone(&inner);
            async move {
                let location = location?;
                inner.ask(|| inner.store.delete(&location)).await?;
                Ok(location)
            }
        });
        deletes.buffered(DELETES_AT_ONCE).boxed()
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.0.store.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
