//! A multipart upload whose parts are sent again while the store is unavailable.

use super::Inner;
use futures::FutureExt as _;
use object_store::{
    Error, MultipartId, MultipartUpload, ObjectStoreExt as _, PutPayload, PutResult, Result, UploadPart,
    multipart::PartId, path::Path,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// An upload in progress.
#[derive(Debug)]
pub(super) struct Uploading {
    inner: Arc<Inner>,
    location: Path,
    id: MultipartId,
    /// Number of parts that were started.
    begun: usize,
    /// Parts that the store has, by their number.
    sent: Arc<Mutex<BTreeMap<usize, PartId>>>,
}

impl Uploading {
    pub(super) fn new(inner: Arc<Inner>, location: Path, id: MultipartId) -> Self {
        Self { inner, location, id, begun: 0, sent: Arc::default() }
    }
}

#[async_trait::async_trait]
impl MultipartUpload for Uploading {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let at = self.begun;
        self.begun += 1;
        let (inner, sent) = (Arc::clone(&self.inner), Arc::clone(&self.sent));
        let (location, id) = (self.location.clone(), self.id.clone());
        async move {
            let part = inner.ask(|| inner.parts.put_part(&location, &id, at, data.clone())).await?;
            sent.lock().unwrap_or_else(PoisonError::into_inner).insert(at, part);
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts: Vec<PartId> =
            std::mem::take(&mut *self.sent.lock().unwrap_or_else(PoisonError::into_inner))
                .into_values()
                .collect();
        if parts.len() != self.begun {
            let source = format!("{} of {} parts were uploaded", parts.len(), self.begun).into();
            return Err(Error::Generic { store: "upload", source });
        }
        let complete = || self.inner.parts.complete_multipart(&self.location, &self.id, parts.clone());
        match self.inner.ask(complete).await {
            // The first request took effect and its answer was lost: no other process writes an object of
            // this name.
            Err(error @ Error::NotFound { .. }) => {
                match self.inner.ask(|| self.inner.store.head(&self.location)).await {
                    Ok(meta) => Ok(PutResult {
                        e_tag: meta.e_tag,
                        version: meta.version,
                        extensions: Default::default(),
                    }),
                    Err(_) => Err(error),
                }
            }
            completed => completed,
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.parts.abort_multipart(&self.location, &self.id).await
    }
}
