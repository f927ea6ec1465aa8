use super::*;
use crate::outage::{TRIES, broke_off};
use futures::TryStreamExt as _;
use futures::stream;
use object_store::{
    client::{HttpError, HttpErrorKind},
    memory::InMemory,
};
use std::sync::atomic::{AtomicU32, Ordering};

/// A store whose first `breaks` requests break off: listings after two objects, reads at once.
#[derive(Debug)]
struct Flaky {
    store: InMemory,
    breaks: AtomicU32,
}

impl Flaky {
    async fn with(names: &[&str], breaks: u32) -> RetryingStore {
        let store = InMemory::new();
        for name in names {
            store.put(&Path::from(*name), PutPayload::from_static(b"x")).await.unwrap();
        }
        static STORES: AtomicU32 = AtomicU32::new(0);
        let url = format!("flaky://{}", STORES.fetch_add(1, Ordering::SeqCst));
        RetryingStore::new(Arc::new(Self { store, breaks: breaks.into() }), Arc::new(InMemory::new()), &url)
    }

    fn breaks(&self) -> bool {
        let left = self.breaks.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.is_ok()
    }
}

fn broken_off() -> object_store::Error {
    let source =
        HttpError::new(HttpErrorKind::Interrupted, std::io::Error::other("end of file before the end"));
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
        if self.breaks() {
            listed.take(2).chain(stream::once(async { Err(broken_off()) })).boxed()
        } else {
            listed
        }
    }

    /// Like a server that ignores the parameter for the offset.
    fn list_with_offset(&self, prefix: Option<&Path>, _: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.list(prefix)
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
async fn a_listing_that_breaks_off_continues_and_returns_every_object_once() {
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
