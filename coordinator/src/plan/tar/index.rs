//! Index beside a tar, as energon writes it (`x.tar.idx`): the offset of every sample and of the end, each as
//! 64 bits in little-endian order.

use crate::plan::contents::Unit;
use capfilt_schemas::plan::{InputFile, Part};
use capfilt_store::{FaultKind, Location, StoreError, tar::BLOCK};
use object_store::ObjectStoreExt as _;

/// Largest index that is read: eight million samples.
const MOST_BYTES: u64 = 64 << 20;

/// Units of a tar by its index; `None` without an index, or with one that cannot be of this tar.
///
/// # Errors
/// A failing store.
pub(super) async fn read(
    input: &Location,
    file: &InputFile,
    rows_wanted: u64,
) -> Result<Option<Vec<Unit>>, StoreError> {
    let name = format!("{}.idx", file.path);
    let reading = async {
        let found = input.store.get(&input.path_of(&name)).await?;
        if found.meta.size > MOST_BYTES {
            return Ok(None);
        }
        found.bytes().await.map(Some)
    };
    let read: Result<_, object_store::Error> = reading.await;
    match read {
        Ok(index) => Ok(index.and_then(|index| units(&index, file, rows_wanted))),
        Err(error) if matches!(FaultKind::of(&error), FaultKind::NotThere | FaultKind::Forbidden) => Ok(None),
        Err(source) => Err(StoreError::Store { what: "read the index", object: input.url_of(&name), source }),
    }
}

fn units(index: &[u8], file: &InputFile, rows_wanted: u64) -> Option<Vec<Unit>> {
    let (offsets, rest) = index.as_chunks::<8>();
    let offsets: Vec<u64> = offsets.iter().map(|offset| u64::from_le_bytes(*offset)).collect();
    let is_of_this_tar = rest.is_empty()
        && offsets.len() > 1
        && offsets.is_sorted_by(|a, b| a < b)
        && offsets.iter().all(|offset| offset % BLOCK == 0)
        && offsets.last().is_some_and(|end| *end <= file.bytes);
    if !is_of_this_tar {
        return None;
    }
    let samples = &offsets[..offsets.len() - 1];
    let rows_at_once = usize::try_from(rows_wanted.max(1)).unwrap_or(usize::MAX);
    let mut starts: Vec<u64> = samples.chunks(rows_at_once).map(|samples| samples[0]).collect();
    // Entries before the first sample belong to the first part.
    starts[0] = 0;
    let ends = starts.iter().skip(1).copied().chain([file.bytes]);
    let rows = samples.chunks(rows_at_once).map(|samples| samples.len() as u64);
    let unit = |((start, end), rows): ((u64, u64), u64)| Unit {
        part: Part::Bytes(start..end),
        rows,
        bytes: end - start,
    };
    Some(starts.iter().copied().zip(ends).zip(rows).map(unit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(offsets: &[u64]) -> Vec<u8> {
        offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
    }

    #[test]
    fn an_index_cuts_a_tar_between_samples_and_one_of_another_tar_is_not_used() {
        let file = InputFile { path: "a.tar".to_owned(), etag: String::new(), bytes: 20_480 };
        let offsets: Vec<u64> = (1..=6).map(|sample| sample * 2048).collect();
        let found = units(&index(&offsets), &file, 2).unwrap();
        let parts: Vec<_> = found.iter().map(|unit| (unit.part.range(), unit.rows)).collect();
        assert_eq!(parts, [(0..6144, 2), (6144..10_240, 2), (10_240..20_480, 1)]);
        for wrong in [index(&[]), index(&[0]), index(&[0, 512, 512]), index(&[0, 99]), index(&[0, 1 << 20])] {
            assert_eq!(units(&wrong, &file, 2), None);
        }
        assert_eq!(units(&index(&offsets)[1..], &file, 2), None);
    }
}
