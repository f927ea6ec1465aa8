//! A store that injects scripted faults into the requests to another store.

use crate::{Fault, Request, script::Script};
use async_trait::async_trait;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// A store with scripted faults. Clones share the script, so a test keeps one and gives one away.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    store: Arc<dyn ObjectStore>,
    script: Arc<Mutex<Script>>,
    ignores_offsets: Arc<AtomicBool>,
}

impl FaultyStore {
    /// Wraps a store; without armed faults every request passes.
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, script: Arc::default(), ignores_offsets: Arc::default() }
    }

    /// Injects a fault into the next requests of this kind, `times` of them.
    pub fn fail_next(&self, request: Request, times: usize, fault: Fault) {
        self.script().arm(request, 0, times, fault);
    }

    /// Injects a fault into the request of this kind after `spared` others of this kind.
    pub fn fail_after(&self, request: Request, spared: usize, fault: Fault) {
        self.script().arm(request, spared, 1, fault);
    }

    /// From now on no request reaches the store.
    pub fn go_down(&self) {
        self.script().is_down = true;
    }

    /// Ends an outage.
    pub fn come_up(&self) {
        self.script().is_down = false;
    }

    /// From now on listings begin at their first object, like those of a server that ignores the parameter
    /// for the offset.
    pub fn ignore_offsets(&self) {
        self.ignores_offsets.store(true, Ordering::Relaxed);
    }

    /// Whether every armed fault has happened.
    pub fn is_spent(&self) -> bool {
        self.script().is_spent()
    }

    /// Number of requests of a kind so far, failed ones included.
    pub fn requests(&self, request: Request) -> usize {
        self.script().count(request)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a request as its fault allows.
    async fn ask<T>(&self, request: Request, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let fault = self.script().meet(request);
        match fault {
            None => asked.await,
            Some(Fault::Fails(cause)) => Err(cause.error()),
            Some(Fault::LosesAnswer(cause)) => asked.await.and(Err(cause.error())),
            Some(Fault::Delays(time)) => {
                tokio::time::sleep(time).await;
                asked.await
            }
            Some(Fault::BreaksOffAfter(_)) => panic!("{request:?} requests do not break off, listings do"),
        }
    }

    /// Lists as the fault of this listing allows.
    fn listed(
        &self,
        objects: BoxStream<'static, Result<ObjectMeta>>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let broken = |cause: crate::Cause| stream::once(async move { Err(cause.error()) });
        let fault = self.script().meet(Request::List);
        match fault {
            None => objects,
            Some(Fault::Fails(cause)) => broken(cause).boxed(),
            Some(Fault::LosesAnswer(cause)) => broken(cause).boxed(),
            Some(Fault::BreaksOffAfter(most)) => {
                objects.take(most).chain(broken(crate::Cause::Interrupted)).boxed()
            }
            Some(Fault::Delays(time)) => late(time, objects),
        }
    }
}

/// The objects, after this time.
fn late(
    time: Duration,
    objects: BoxStream<'static, Result<ObjectMeta>>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    stream::once(tokio::time::sleep(time)).flat_map(|()| stream::empty()).chain(objects).boxed()
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "faulty {}", self.store)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.ask(Request::Get, self.store.get_opts(location, options)).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(self.store.list(prefix))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.ignores_offsets.load(Ordering::Relaxed) {
            true => self.list(prefix),
            false => self.listed(self.store.list_with_offset(prefix, offset)),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.ask(Request::List, self.store.list_with_delimiter(prefix)).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.ask(Request::Put, self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask(Request::Upload, self.store.put_multipart_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let faulty = self.clone();
        let deletes = locations.then(move |location| {
            let faulty = faulty.clone();
            async move {
                let location = location?;
                faulty.ask(Request::Delete, faulty.store.delete(&location)).await.map(|()| location)
            }
        });
        deletes.boxed()
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.ask(Request::Copy, self.store.copy_opts(from, to, options)).await
    }
}
