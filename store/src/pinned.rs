//! Reads of an object in its planned state.
//!
//! Requests carry the state as a condition (`If-Match`), and the answers are checked too: some gateways
//! ignore the condition, and would mix rows of a file that was replaced during the job with rows of the old
//! file.

use crate::{Location, StoreError, without_secrets};
use bytes::Bytes;
use capfilt_schemas::{commit::Output, plan::InputFile};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt as _, path::Path};
use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

/// Ranges of one object that are requested at the same time.
const RANGES_AT_ONCE: usize = 8;

/// Bytes. Closer ranges are read as one: a request costs more than the bytes between them.
const GAP_BYTES: u64 = 1 << 20;

/// One input object in one state. Every read of another state fails with [`StoreError::is_changed`].
#[derive(Debug, Clone)]
pub struct PinnedObject {
    store: Arc<dyn ObjectStore>,
    path: Path,
    etag: String,
    /// Length in bytes.
    pub bytes: u64,
    url: String,
    /// Another ETag that GET returned for the planned state: behind a redirect it may be that of a cache.
    alias: Arc<OnceLock<String>>,
}

impl PinnedObject {
    /// `input` is the job's input: a prefix, or the file itself.
    pub fn new(input: &Location, file: &InputFile) -> Self {
        let path = input.path_of(&file.path);
        // An input URL may name the only file; then the file's path is its name, which ends the prefix
        // already.
        let is_itself = !input.is_prefix && input.prefix.filename() == Some(&file.path);
        let path = if is_itself { input.prefix.clone() } else { path };
        let url = without_secrets(&input.url_of(&file.path));
        Self {
            store: Arc::clone(&input.store),
            path,
            etag: file.etag.clone(),
            bytes: file.bytes,
            url,
            alias: Arc::default(),
        }
    }

    /// A table of an attempt, below a job's URL. Its state is not pinned: an attempt's object is written only
    /// once.
    pub fn of_output(job: &Location, output: &Output) -> Self {
        let file = InputFile { path: output.path.clone(), etag: String::new(), bytes: output.bytes };
        Self::new(job, &file)
    }

    /// Reads one range.
    pub async fn range(&self, range: Range<u64>) -> Result<Bytes, StoreError> {
        let if_match = (!self.etag.is_empty()).then(|| self.etag.clone());
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.clone())), if_match, ..GetOptions::default() };
        let fail = |source| StoreError::store("read", &self.url, source);
        let answer = self.store.get_opts(&self.path, options).await.map_err(fail)?;
        self.same_state(&answer.meta).await?;
        let bytes = answer.bytes().await.map_err(fail)?;
        // Stores answer a range beyond the end of the object with the existing part.
        if bytes.len() as u64 != range.end - range.start {
            let (start, end, found) = (range.start, range.end, bytes.len());
            return Err(StoreError::Refused(format!(
                "{}: bytes {start} to {end} were requested, only {found} exist",
                self.url
            )));
        }
        Ok(bytes)
    }

    /// Whether the store applies `If-Match` to a read of this object; `None` without ETags.
    ///
    /// # Errors
    /// A failing store.
    pub async fn heeds_if_match(&self) -> Result<Option<bool>, StoreError> {
        if self.etag.is_empty() {
            return Ok(None);
        }
        let if_match = Some("\"a state that no object is in\"".to_owned());
        let options = GetOptions { range: Some(GetRange::Bounded(0..1)), if_match, ..GetOptions::default() };
        match self.store.get_opts(&self.path, options).await {
            Ok(_) => Ok(Some(false)),
            Err(object_store::Error::Precondition { .. }) => Ok(Some(true)),
            Err(source) => Err(StoreError::store("read", &self.url, source)),
        }
    }

    /// Refuses an answer in another state than the planned one.
    async fn same_state(&self, answer: &ObjectMeta) -> Result<(), StoreError> {
        if answer.size != self.bytes {
            return Err(self.changed(&format!("it has {} bytes, the plan has {}", answer.size, self.bytes)));
        }
        if self.etag.is_empty() || answer.e_tag.as_deref().is_some_and(|found| self.is_planned(found)) {
            return Ok(());
        }
        // Either the object changed, or GET returns another ETag for the same state than a listing, or none:
        // a gateway redirects to a cache.
        let found = answer.e_tag.as_deref();
        let now = self
            .store
            .head(&self.path)
            .await
            .map_err(|source| StoreError::store("read the metadata of", &self.url, source))?;
        if now.size == self.bytes && now.e_tag.as_deref().is_some_and(|now| same_etag(now, &self.etag)) {
            found.iter().for_each(|found| drop(self.alias.set((*found).to_owned())));
            return Ok(());
        }
        let found = found.unwrap_or("(none)");
        Err(self.changed(&format!("the answer has ETag {found}, the plan has {}", self.etag)))
    }

    fn is_planned(&self, etag: &str) -> bool {
        same_etag(etag, &self.etag) || self.alias.get().is_some_and(|alias| alias == etag)
    }

    fn changed(&self, how: &str) -> StoreError {
        let source = object_store::Error::Precondition { path: self.path.to_string(), source: how.into() };
        StoreError::store("read", &self.url, source)
    }

    /// Reads several ranges and returns them in the order of `ranges`; close ranges share a request.
    pub async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, StoreError> {
        let requests = merged(ranges);
        let fetches = futures::stream::iter(requests.clone()).map(|request| self.range(request));
        let fetched: Vec<Bytes> = fetches.buffered(RANGES_AT_ONCE).try_collect().await?;
        let slice = |range: &Range<u64>| {
            let at = requests.partition_point(|request| request.start <= range.start) - 1;
            let start = (range.start - requests[at].start) as usize;
            fetched[at].slice(start..start + (range.end - range.start) as usize)
        };
        Ok(ranges.iter().map(slice).collect())
    }
}

/// Whether two ETags name one state: gateways differ in quoting ETags and in marking them as weak.
fn same_etag(a: &str, b: &str) -> bool {
    let bare = |etag: &str| etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"').to_owned();
    bare(a) == bare(b)
}

/// Sorted, disjoint ranges that cover the given ones.
fn merged(ranges: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_by_key(|range| range.start);
    let mut requests: Vec<Range<u64>> = Vec::new();
    for range in sorted {
        match requests.last_mut() {
            Some(last) if range.start <= last.end + GAP_BYTES => last.end = last.end.max(range.end),
            _ => requests.push(range),
        }
    }
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pinned(folder: &std::path::Path, name: &str) -> PinnedObject {
        let place = Location::open(folder.to_str().unwrap()).unwrap();
        let meta = place.store.head(&place.path_of(name)).await.unwrap();
        let file = InputFile { path: name.to_owned(), etag: meta.e_tag.unwrap(), bytes: meta.size };
        PinnedObject::new(&place, &file)
    }

    #[tokio::test]
    async fn a_file_that_changed_since_it_was_pinned_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "before").unwrap();
        let object = pinned(folder.path(), "a").await;
        assert_eq!(object.range(1..3).await.unwrap(), "ef");
        assert!(
            object
                .ranges(&[0..2, 4..9])
                .await
                .unwrap_err()
                .to_string()
                .contains("bytes 0 to 9 were requested, only 6 exist")
        );
        std::fs::write(folder.path().join("a"), "after!!").unwrap();
        assert!(object.range(1..3).await.unwrap_err().is_changed());
    }

    #[test]
    fn an_etag_is_the_same_with_and_without_quotes() {
        assert!(same_etag("\"a-1\"", "a-1") && same_etag("W/\"a\"", "\"a\"") && !same_etag("\"a\"", "\"b\""));
    }

    #[tokio::test]
    async fn ranges_come_back_in_the_order_asked() {
        let folder = tempfile::tempdir().unwrap();
        let content: Vec<u8> = (0..4_000_000u32).map(|i| (i / 1000 % 251) as u8).collect();
        std::fs::write(folder.path().join("a"), &content).unwrap();
        let object = pinned(folder.path(), "a").await;
        let ranges = [3_500_000..3_600_000, 0..10, 5..7, 1_000..2_000, 3_590_000..3_999_999];
        for (range, bytes) in ranges.iter().zip(object.ranges(&ranges).await.unwrap()) {
            assert!(bytes == content[range.start as usize..range.end as usize], "{range:?}");
        }
    }
}
