//! Lists folders with very many objects.
//!
//! A cloud lists a thousand objects per request, and each page waits for the page before it: 100,000 commits
//! take a hundred round trips. Names in the job's folders begin with hexadecimal ids. If the first page is
//! full, the rest of the listing is therefore cut into sixteen parts of about equal length, which are read at
//! the same time. This costs at most one more request per part; a listing of one page costs one request as
//! before.

use crate::{Location, StoreError};
use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, future::ready, stream,
    stream::BoxStream,
};
use object_store::{ObjectMeta, ObjectStore, Result, path::Path};
use std::sync::Arc;

/// Objects per page of the clouds.
const PAGE: usize = 1000;

/// First characters that separate the parts.
const PARTINGS: [&str; 15] = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

impl Location {
    /// All objects below a folder, in no order, with names below the job's URL.
    pub fn list<'a>(
        &'a self,
        folder: &'a str,
    ) -> BoxStream<'a, std::result::Result<(String, ObjectMeta), StoreError>> {
        let (store, prefix) = (Arc::clone(&self.store), self.path_of(folder));
        // A local folder is walked as a whole, wherever the listing begins.
        let is_local = self.local_path().is_some();
        let objects = if is_local { store.list(Some(&prefix)) } else { in_strands(store, prefix) };
        let named = objects.map_err(move |source| StoreError::store("list", self.url_of(folder), source));
        named.map_ok(|meta| (self.name_of(&meta.location), meta)).boxed()
    }
}

fn in_strands(store: Arc<dyn ObjectStore>, prefix: Path) -> BoxStream<'static, Result<ObjectMeta>> {
    let first_page = async move {
        // Fused: a listing must not be polled after its end.
        let mut listed = store.list(Some(&prefix)).fuse();
        let page: Vec<ObjectMeta> = listed.by_ref().take(PAGE).try_collect().await?;
        let rest = match page.last() {
            // Some stores list in no order (S3 Express): a listing cannot continue after a name there.
            Some(last) if page.len() == PAGE && page.is_sorted_by(|a, b| a.location < b.location) => {
                strands(&store, &prefix, &last.location)
            }
            _ => listed.boxed(),
        };
        Ok(stream::iter(page.into_iter().map(Ok)).chain(rest))
    };
    first_page.boxed().try_flatten_stream().boxed()
}

/// The objects after `last`, in parts that end at (and include) a separator; the last part ends with the
/// listing.
fn strands(
    store: &Arc<dyn ObjectStore>,
    prefix: &Path,
    last: &Path,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let mut strands = Vec::new();
    let mut from = last.clone();
    for end in PARTINGS.map(|parting| prefix.clone().join(parting)) {
        if end > from {
            let strand = store.list_with_offset(Some(prefix), &from);
            from = end.clone();
            strands.push(strand.try_take_while(move |meta| ready(Ok(meta.location <= end))).boxed());
        }
    }
    strands.push(store.list_with_offset(Some(prefix), &from));
    stream::select_all(strands).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Location;
    use bytes::Bytes;
    use object_store::memory::InMemory;
    use std::collections::BTreeSet;

    async fn listed(bucket: &Location) -> Vec<String> {
        bucket.list("commits").map_ok(|(name, _)| name).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn every_object_is_listed_once_wherever_the_strands_part() {
        let place = Location::over(Arc::new(InMemory::new()), "memory://", Path::from("job"));
        let bucket = place;
        // More than a page, dense around every separator, with names that are a separator or not an id.
        let ids = (0..3000u32).map(|i| format!("commits/{:03x}/0.json", i * 4096 / 3000));
        let odd = PARTINGS.iter().chain(&["0", ".x", "g", "é"]).map(|name| format!("commits/{name}"));
        let names: BTreeSet<String> = ids.chain(odd).collect();
        for name in &names {
            bucket.write(name, Bytes::new()).await.unwrap();
        }
        bucket.write("failures/1/x.json", Bytes::new()).await.unwrap();
        let found = listed(&bucket).await;
        assert_eq!(found.len(), names.len());
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names);
    }

    #[tokio::test]
    async fn a_page_that_is_just_full_is_the_whole_listing() {
        let place = Location::over(Arc::new(InMemory::new()), "memory://", Path::default());
        let bucket = place;
        assert!(listed(&bucket).await.is_empty());
        for i in 0..PAGE {
            bucket.write(&format!("commits/{i:03x}"), Bytes::new()).await.unwrap();
        }
        assert_eq!(listed(&bucket).await.len(), PAGE);
    }
}
