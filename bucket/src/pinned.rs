//! Reads of an object that insist on the state it was planned with.

use crate::{BucketError, Place, without_secrets};
use bytes::Bytes;
use capfilt_schemas::plan::InputFile;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{GetOptions, GetRange, ObjectStore, path::Path};
use std::{ops::Range, sync::Arc};

/// Ranges of one object that are asked for at the same time.
const RANGES_AT_ONCE: usize = 8;

/// Ranges closer than this are read as one: a request costs more than the bytes between them.
const GAP_BYTES: u64 = 1 << 20;

/// One input object at one state. Every read fails with [`BucketError::is_changed`] when the state is another.
#[derive(Debug, Clone)]
pub struct PinnedObject {
    store: Arc<dyn ObjectStore>,
    path: Path,
    etag: String,
    pub bytes: u64,
    url: String,
}

impl PinnedObject {
    /// `input` is the job's input, a prefix or that file itself.
    pub fn new(input: &Place, file: &InputFile) -> Self {
        let path = input.path_of(&file.path);
        // An input URL may name the one file itself; then the file's path is its name, which the prefix ends with already.
        let is_itself = !input.is_prefix && input.prefix.filename() == Some(&file.path);
        let path = if is_itself { input.prefix.clone() } else { path };
        let url = without_secrets(&input.url_of(&file.path));
        Self { store: Arc::clone(&input.store), path, etag: file.etag.clone(), bytes: file.bytes, url }
    }

    /// The bytes of one range.
    pub async fn range(&self, range: Range<u64>) -> Result<Bytes, BucketError> {
        let if_match = (!self.etag.is_empty()).then(|| self.etag.clone());
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), if_match, ..GetOptions::default() };
        let fail = |source| BucketError::store("read", &self.url, source);
        let bytes = self.store.get_opts(&self.path, options).await.map_err(fail)?.bytes().await.map_err(fail)?;
        // Stores answer a range that reaches beyond the object with what there is of it.
        if bytes.len() as u64 != range.end - range.start {
            let (start, end, found) = (range.start, range.end, bytes.len());
            return Err(BucketError::Refused(format!("{}: bytes {start} to {end} are only {found}", self.url)));
        }
        Ok(bytes)
    }

    /// The bytes of several ranges, in the order asked; near ones share a request.
    pub async fn ranges(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>, BucketError> {
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
    use object_store::ObjectStoreExt as _;

    async fn pinned(folder: &std::path::Path, name: &str) -> PinnedObject {
        let place = Place::open(folder.to_str().unwrap()).unwrap();
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
        assert!(object.ranges(&[0..2, 4..9]).await.unwrap_err().to_string().contains("bytes 0 to 9 are only 6"));
        std::fs::write(folder.path().join("a"), "after!!").unwrap();
        assert!(object.range(1..3).await.unwrap_err().is_changed());
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
