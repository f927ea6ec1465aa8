//! Index beside a tar, with the offsets of its samples. Two programs write one:
//!
//! | program | name | content |
//! |---|---|---|
//! | Megatron-Energon | `x.tar.idx` | offset of every sample and of the end, 64 bits each, little-endian |
//! | `wds2idx` of NVIDIA DALI | `x.idx` | text, see [`of_text`] |

use super::unit;
use crate::plan::contents::Unit;
use bytes::Bytes;
use capfilt_schemas::plan::InputFile;
use capfilt_store::{
    FaultKind, Location, PinnedObject, StoreError,
    tar::{BLOCK, TarItem, TarStream},
};
use object_store::ObjectStoreExt as _;

/// Largest index that is read: eight million samples of energon's.
const MOST_BYTES: u64 = 64 << 20;

/// Number of places of the tar that are compared with the index.
const COMPARED: usize = 16;

/// Bytes that are read at such a place: a header, and those of a long name before it.
const HEADER_BYTES: u64 = 4 << 10;

/// Units of a tar by its index; `None` without an index, or with one that cannot be of this tar.
///
/// # Errors
/// A failing store.
pub(super) async fn read(
    input: &Location,
    object: &PinnedObject,
    file: &InputFile,
    rows_wanted: u64,
) -> Result<Option<Vec<Unit>>, StoreError> {
    let stem = file.path.strip_suffix(".tar").unwrap_or(&file.path);
    for name in [format!("{}.idx", file.path), format!("{stem}.idx")] {
        let Some(index) = get(input, &name).await? else { continue };
        let Some(found) = Index::parse(&index, file) else { continue };
        let units = found.units(file, rows_wanted);
        if begin_with_members(object, &units).await? && is_end(object, found.end).await? {
            return Ok(Some(units));
        }
    }
    Ok(None)
}

/// The bytes of an index that is there and not too large.
async fn get(input: &Location, name: &str) -> Result<Option<Bytes>, StoreError> {
    let reading = async {
        let found = input.store.get(&input.path_of(name)).await?;
        if found.meta.size > MOST_BYTES { Ok(None) } else { found.bytes().await.map(Some) }
    };
    let read: Result<_, object_store::Error> = reading.await;
    match read {
        Err(error) if matches!(FaultKind::of(&error), FaultKind::NotThere | FaultKind::Forbidden) => Ok(None),
        read => read.map_err(|source| StoreError::Store {
            what: "read the index",
            object: input.url_of(name),
            source,
        }),
    }
}

/// Offsets of an index.
#[derive(Debug, PartialEq, Eq)]
struct Index {
    /// Where the samples begin, in ascending order; at least one.
    samples: Vec<u64>,
    /// Where the last sample ends.
    end: u64,
}

impl Index {
    /// The offsets, if they can be those of a tar with this size.
    fn parse(index: &[u8], file: &InputFile) -> Option<Self> {
        let (samples, end) = match index.starts_with(b"v1.") {
            true => of_text(std::str::from_utf8(index).ok()?)?,
            false => of_numbers(index)?,
        };
        let all = || samples.iter().chain([&end]);
        let is_possible = !samples.is_empty()
            && all().is_sorted_by(|a, b| a < b)
            && all().all(|at| at % BLOCK == 0 && *at <= file.bytes);
        is_possible.then_some(Self { samples, end })
    }

    /// Units of as many samples as a shard. Entries before the first sample belong to the first unit.
    fn units(&self, file: &InputFile, rows_wanted: u64) -> Vec<Unit> {
        let rows_at_once = usize::try_from(rows_wanted.max(1)).unwrap_or(usize::MAX);
        let chunks = self.samples.chunks(rows_at_once);
        let mut starts: Vec<u64> = chunks.clone().map(|samples| samples[0]).collect();
        starts[0] = 0;
        let ends = starts.iter().skip(1).copied().chain([file.bytes]);
        let ranges = starts.iter().copied().zip(ends);
        ranges.zip(chunks).map(|((start, end), samples)| unit(start, end, samples.len() as u64)).collect()
    }
}

fn of_numbers(index: &[u8]) -> Option<(Vec<u64>, u64)> {
    let (offsets, rest) = index.as_chunks::<8>();
    let mut offsets: Vec<u64> = offsets.iter().map(|offset| u64::from_le_bytes(*offset)).collect();
    let end = offsets.pop().filter(|_| rest.is_empty())?;
    Some((offsets, end))
}

/// Offsets by a text: `v1.2 <samples>`, and a line per sample with `suffix offset size name` of each member
/// (`v1.1`: without the name). The offsets are those of the data; a sample begins with its headers, which
/// follow the data of the sample before it.
fn of_text(index: &str) -> Option<(Vec<u64>, u64)> {
    let mut lines = index.lines();
    let (version, number) = lines.next()?.split_once(' ')?;
    let fields = match version {
        "v1.1" => 3,
        "v1.2" => 4,
        _ => return None,
    };
    let (mut starts, mut end) = (Vec::new(), 0_u64);
    for line in lines {
        // A name with a space makes the number of words another one: then the index is not used.
        let words: Vec<&str> = line.split(' ').collect();
        let members = words.chunks_exact(fields);
        if words.is_empty() || !members.remainder().is_empty() {
            return None;
        }
        starts.push(end);
        for member in members {
            let (at, bytes): (u64, u64) = (member[1].parse().ok()?, member[2].parse().ok()?);
            if at < end.checked_add(BLOCK)? {
                return None;
            }
            end = at.checked_add(bytes)?.checked_next_multiple_of(BLOCK)?;
        }
    }
    (number.trim().parse() == Ok(starts.len())).then_some((starts, end))
}

/// Whether members begin where some of the units begin.
async fn begin_with_members(object: &PinnedObject, units: &[Unit]) -> Result<bool, StoreError> {
    for unit in units.iter().step_by(units.len().div_ceil(COMPARED)) {
        let part = unit.part.range();
        let mut stream = TarStream::of_object(object.clone(), part, HEADER_BYTES);
        if !matches!(stream.next().await?, Some(TarItem::Member(_))) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether no member follows.
async fn is_end(object: &PinnedObject, end: u64) -> Result<bool, StoreError> {
    let mut stream = TarStream::of_object(object.clone(), end..object.bytes, HEADER_BYTES);
    Ok(stream.next().await?.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> InputFile {
        InputFile { path: "a.tar".to_owned(), etag: String::new(), bytes: 20_480 }
    }

    fn numbers(offsets: &[u64]) -> Vec<u8> {
        offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect()
    }

    #[test]
    fn an_index_cuts_a_tar_between_samples_and_an_impossible_one_is_not_used() {
        let offsets: Vec<u64> = (1..=6).map(|sample| sample * 2048).collect();
        let found = Index::parse(&numbers(&offsets), &file()).unwrap();
        let units = found.units(&file(), 2);
        let parts: Vec<_> = units.iter().map(|unit| (unit.part.range(), unit.rows)).collect();
        assert_eq!(parts, [(0..6144, 2), (6144..10_240, 2), (10_240..20_480, 1)]);
        let wrong = [&[][..], &[0], &[0, 512, 512], &[0, 99], &[0, 1 << 20], &[99, 512]];
        for wrong in wrong {
            assert_eq!(Index::parse(&numbers(wrong), &file()), None, "{wrong:?}");
        }
        assert_eq!(Index::parse(&numbers(&offsets)[1..], &file()), None);
    }

    #[test]
    fn a_text_index_gives_the_headers_of_its_samples() {
        let both = [
            "v1.2 2\njpg 512 700 a.jpg txt 2048 3 a.txt\njpg 3584 9 b.jpg\n",
            "v1.1 2\njpg 512 700 txt 2048 3\njpg 3584 9\n",
        ];
        for text in both {
            let found = Index::parse(text.as_bytes(), &file());
            assert_eq!(found, Some(Index { samples: vec![0, 2560], end: 4096 }), "{text}");
        }
        let wrong = [
            "v1.2 3\njpg 512 700 a.jpg\n",
            "v1.3 1\njpg 512 700 a.jpg\n",
            "v1.2 1\njpg 512 700 a b.jpg\n",
            "v1.2 1\njpg 511 700 a.jpg\n",
            "v1.2 1\njpg 18446744073709551615 700 a.jpg\n",
            "v1.2 1\njpg x 700 a.jpg\n",
            "v1.2 0\n",
            "v1.2",
        ];
        for wrong in wrong {
            assert_eq!(Index::parse(wrong.as_bytes(), &file()), None, "{wrong}");
        }
    }
}
