//! Reads an object's bytes, and continues where they break off.

use super::Inner;
use crate::outage::Patience;
use bytes::Bytes;
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{Error, GetOptions, GetRange, GetResult, GetResultPayload, Result, path::Path};
use std::{ops::Range, sync::Arc};

/// A read that continues after an interruption.
struct Reading {
    inner: Arc<Inner>,
    location: Path,
    e_tag: String,
    /// Bytes that are still to come.
    rest: Range<u64>,
    bytes: BoxStream<'static, Result<Bytes>>,
    patience: Patience,
}

/// Returns an equal answer whose bytes are requested again when they break off: the remaining bytes of the
/// object in the same state. Without an ETag the state cannot be checked, so the read then ends with the
/// error.
pub(super) fn read_on(inner: &Arc<Inner>, location: &Path, found: GetResult) -> GetResult {
    let GetResult { payload, meta, range, attributes, extensions } = found;
    let payload = match (payload, meta.e_tag.clone()) {
        (GetResultPayload::Stream(bytes), Some(e_tag)) => {
            let patience = Patience::new(&inner.health);
            let (inner, location, rest) = (Arc::clone(inner), location.clone(), range.clone());
            GetResultPayload::Stream(Reading { inner, location, e_tag, rest, bytes, patience }.stream())
        }
        (payload, _) => payload,
    };
    GetResult { payload, meta, range, attributes, extensions }
}

impl Reading {
    fn stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::unfold(self, |mut reading| async move { reading.next().await.map(|next| (next, reading)) })
            .boxed()
    }

    async fn next(&mut self) -> Option<Result<Bytes>> {
        let mut next = self.bytes.next().await;
        loop {
            match next {
                Some(Ok(bytes)) => {
                    self.rest.start += bytes.len() as u64;
                    self.patience = Patience::new(&self.inner.health);
                    return Some(Ok(bytes));
                }
                Some(Err(error)) if self.rest.is_empty() || !self.patience.goes_on(&error).await => {
                    return Some(Err(error));
                }
                Some(Err(_)) => {
                    match ask_on(&self.inner, &self.location, &self.e_tag, self.rest.clone()).await {
                        Ok(bytes) => {
                            self.bytes = bytes;
                            next = self.bytes.next().await;
                        }
                        Err(error) => next = Some(Err(error)),
                    }
                }
                None => return None,
            }
        }
    }
}

/// Requests the remaining bytes of the object in its earlier state.
async fn ask_on(
    inner: &Inner,
    location: &Path,
    e_tag: &str,
    rest: Range<u64>,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    let if_match = Some(e_tag.to_owned());
    let options = GetOptions { if_match, range: Some(GetRange::Bounded(rest)), ..GetOptions::default() };
    let asked = inner.store.get_opts(location, options).await;
    inner.health.note(&asked);
    let found = asked?;
    // Some stores ignore If-Match and answer with the current object.
    if found.meta.e_tag.as_deref() != Some(e_tag) {
        let source = "the object was replaced while it was being read".into();
        return Err(Error::Precondition { path: location.to_string(), source });
    }
    Ok(found.into_stream())
}
