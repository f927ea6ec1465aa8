//! A store in the cloud that is asked again when its answer breaks off.
//!
//! object_store's clients try again by themselves what is known to pass (429, 5xx, connections that fail: ten times within
//! three minutes) and read on when an object's bytes break off. But a page of a listing, or an error's text, that ends too
//! early fails the call at once, and with it a coordinator that only wanted to know what is committed.

use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
    client::{HttpError, HttpErrorKind},
    path::Path,
};
use std::{fmt, ops::Range, sync::Arc, time::Duration};

/// Times a call is made whose answer breaks off.
const TRIES: u32 = 5;

/// Time before the second try; it doubles with every other.
const PAUSE: Duration = Duration::from_millis(100);

/// The store, with more patience for reads and listings. Writes are their callers' business: a create must look what is
/// there before it is tried again, and a shard's tables are written again by its next attempt.
#[derive(Debug)]
pub(crate) struct Patient {
    store: Arc<dyn ObjectStore>,
}

impl Patient {
    pub(crate) fn new(store: Box<dyn ObjectStore>) -> Self {
        Self { store: Arc::from(store) }
    }

    /// Makes a call until it is answered whole, or fails for another reason, or has failed too often.
    async fn ask<T, Asked: Future<Output = Result<T>>>(&self, ask: impl Fn() -> Asked) -> Result<T> {
        let mut patience = Patience::default();
        loop {
            match ask().await {
                Err(error) if patience.goes_on(&error) => patience.pause().await,
                answer => return answer,
            }
        }
    }
}

/// How often a call has broken off.
#[derive(Debug, Default)]
struct Patience {
    failed: u32,
}

impl Patience {
    fn goes_on(&mut self, error: &object_store::Error) -> bool {
        self.failed += 1;
        self.failed < TRIES && broke_off(error)
    }

    async fn pause(&self) {
        tokio::time::sleep(PAUSE * (1 << (self.failed - 1))).await;
    }
}

/// Whether the connection failed with the answer on its way.
fn broke_off(error: &object_store::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<HttpError>() {
            // A store that cannot be reached, or is waited for in vain, the client has tried often enough.
            return !matches!(error.kind(), HttpErrorKind::Connect | HttpErrorKind::Timeout);
        }
        next = cause.source();
    }
    false
}

/// A listing that goes on after the last name it told, which stores can do that list by name.
struct Listing {
    store: Arc<dyn ObjectStore>,
    prefix: Option<Path>,
    objects: BoxStream<'static, Result<ObjectMeta>>,
    last: Option<Path>,
    is_by_name: bool,
    patience: Patience,
}

impl Listing {
    fn open(store: &Arc<dyn ObjectStore>, prefix: Option<&Path>, offset: Option<&Path>) -> Self {
        let objects = objects(store, prefix, offset);
        let (store, prefix, last) = (Arc::clone(store), prefix.cloned(), offset.cloned());
        Self { store, prefix, objects, last, is_by_name: true, patience: Patience::default() }
    }

    async fn next(&mut self) -> Option<Result<ObjectMeta>> {
        loop {
            match self.objects.next().await {
                Some(Ok(meta)) => {
                    self.is_by_name &= self.last.as_ref().is_none_or(|last| *last < meta.location);
                    self.last = Some(meta.location.clone());
                    self.patience = Patience::default();
                    return Some(Ok(meta));
                }
                Some(Err(error)) if self.is_by_name && self.patience.goes_on(&error) => {
                    self.patience.pause().await;
                    self.objects = objects(&self.store, self.prefix.as_ref(), self.last.as_ref());
                }
                ended => return ended,
            }
        }
    }

    fn stream(self) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::unfold(self, |mut listing| async move { listing.next().await.map(|next| (next, listing)) }).boxed()
    }
}

fn objects(
    store: &Arc<dyn ObjectStore>,
    prefix: Option<&Path>,
    offset: Option<&Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    match offset {
        Some(offset) => store.list_with_offset(prefix, offset),
        None => store.list(prefix),
    }
}

impl fmt::Display for Patient {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(out)
    }
}

#[async_trait::async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Patient {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask(|| self.store.get_opts(location, options.clone())).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.ask(|| self.store.get_ranges(location, ranges)).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        Listing::open(&self.store, prefix, None).stream()
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        Listing::open(&self.store, prefix, Some(offset)).stream()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.ask(|| self.store.list_with_delimiter(prefix)).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::TryStreamExt as _;
    use object_store::{ObjectStoreExt as _, memory::InMemory};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A store whose listings break off after two objects, and whose reads break off, as often as they shall.
    #[derive(Debug)]
    struct Flaky {
        store: InMemory,
        breaks: AtomicU32,
    }

    impl Flaky {
        async fn with(names: &[&str], breaks: u32) -> Patient {
            let store = InMemory::new();
            for name in names {
                store.put(&Path::from(*name), PutPayload::from_static(b"x")).await.unwrap();
            }
            Patient::new(Box::new(Self { store, breaks: breaks.into() }))
        }

        fn breaks(&self) -> bool {
            let left = self.breaks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            left.is_ok()
        }
    }

    fn broken_off() -> object_store::Error {
        let source = HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("end of file before the end"));
        object_store::Error::Generic { store: "flaky", source: Box::new(source) }
    }

    impl fmt::Display for Flaky {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.store.fmt(out)
        }
    }

    #[async_trait::async_trait]
    impl ObjectStore for Flaky {
        async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
            if self.breaks() { Err(broken_off()) } else { self.store.get_opts(location, options).await }
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            let listed = self.store.list(prefix);
            if self.breaks() { listed.take(2).chain(stream::once(async { Err(broken_off()) })).boxed() } else { listed }
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.store.list_with_delimiter(prefix).await
        }

        async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
            self.store.put_opts(location, payload, options).await
        }

        async fn put_multipart_opts(
            &self,
            location: &Path,
            options: PutMultipartOptions,
        ) -> Result<Box<dyn MultipartUpload>> {
            self.store.put_multipart_opts(location, options).await
        }

        fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            self.store.delete_stream(locations)
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.store.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn a_listing_that_breaks_off_goes_on_and_tells_every_object_once() {
        let names = ["a", "b", "c", "d", "e"];
        let store = Flaky::with(&names, 1).await;
        let listed: Vec<String> =
            store.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
        assert_eq!(listed, names);
    }

    #[tokio::test]
    async fn patience_ends_and_an_object_that_is_not_there_needs_none() {
        let store = Flaky::with(&["a"], TRIES - 1).await;
        assert!(store.get(&Path::from("a")).await.is_ok());
        let store = Flaky::with(&["a"], TRIES).await;
        assert!(broke_off(&store.get(&Path::from("a")).await.unwrap_err()));
        let missing = store.get(&Path::from("b")).await.unwrap_err();
        assert!(matches!(missing, object_store::Error::NotFound { .. }), "{missing}");
    }
}
