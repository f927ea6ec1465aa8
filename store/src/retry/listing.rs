//! A listing that continues after the last name it returned. This works for stores that list by name.

use super::Inner;
use crate::outage::Patience;
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::ready,
    stream::{self, BoxStream},
};
use object_store::{ObjectMeta, Result, path::Path};
use std::sync::Arc;

pub(super) struct Listing {
    inner: Arc<Inner>,
    prefix: Option<Path>,
    objects: BoxStream<'static, Result<ObjectMeta>>,
    last: Option<Path>,
    is_by_name: bool,
    patience: Patience,
}

impl Listing {
    pub(super) fn open(inner: &Arc<Inner>, prefix: Option<&Path>, offset: Option<&Path>) -> Self {
        Self {
            inner: Arc::clone(inner),
            prefix: prefix.cloned(),
            objects: objects(inner, prefix, offset),
            last: offset.cloned(),
            is_by_name: true,
            patience: Patience::new(&inner.health),
        }
    }

    async fn next(&mut self) -> Option<Result<ObjectMeta>> {
        loop {
            let next = self.objects.next().await;
            next.iter().for_each(|next| self.inner.health.note(next));
            match next {
                Some(Ok(meta)) => {
                    self.is_by_name &= self.last.as_ref().is_none_or(|last| *last < meta.location);
                    self.last = Some(meta.location.clone());
                    self.patience = Patience::new(&self.inner.health);
                    return Some(Ok(meta));
                }
                Some(Err(error)) if self.is_by_name && self.patience.goes_on(&error).await => {
                    self.objects = objects(&self.inner, self.prefix.as_ref(), self.last.as_ref());
                }
                ended => return ended,
            }
        }
    }

    pub(super) fn stream(self) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::unfold(self, |mut listing| async move { listing.next().await.map(|next| (next, listing)) })
            .boxed()
    }
}

fn objects(
    inner: &Inner,
    prefix: Option<&Path>,
    offset: Option<&Path>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let Some(offset) = offset.cloned() else { return inner.store.list(prefix) };
    // A server that ignores the parameter for the offset (Azurite, and older interfaces of Azure) begins at
    // the first name.
    let listed = inner.store.list_with_offset(prefix, &offset);
    listed.try_filter(move |meta| ready(meta.location > offset)).boxed()
}
