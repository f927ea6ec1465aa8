//! Walk over the members of a tar that belong to samples.

use super::{
    forward::Forward,
    header::{BLOCK, Decoded, Pending, map_continues},
    name::{is_metadata, split},
};
use crate::{
    PinnedObject, StoreError,
    window::{Ranges, Window},
};
use bytes::Bytes;
use std::{fs::File, ops::Range, path::PathBuf, sync::Arc};

/// A file of a tar that belongs to a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Path in the tar.
    pub name: Vec<u8>,
    /// Key of the sample: the path without the suffix.
    pub key: Vec<u8>,
    /// Suffix after the first dot, in lower case.
    pub suffix: String,
    /// Offset of the member's first header.
    pub header_at: u64,
    /// Size of the data.
    pub bytes: u64,
    /// Whether the data is a sparse file's map and pieces.
    pub is_sparse: bool,
    /// Whether another sample begins with the member.
    pub is_first: bool,
}

impl Member {
    /// Path in the tar, for people and records.
    pub fn path(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// Step of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarItem {
    /// The next member.
    Member(Member),
    /// The tar is damaged or ends within a member; nothing can be read behind this place.
    Damage {
        /// Offset of the damage.
        at: u64,
        /// Reason, for people.
        why: String,
    },
}

/// Walk over a tar, or over a part of it that begins at a sample.
pub struct TarStream {
    bytes: Forward,
    /// Offset from which on no member begins.
    end: u64,
    /// Bytes of the current member that are not read, and its name.
    left: u64,
    padding: u64,
    key: Option<Vec<u8>>,
    is_over: bool,
}

/// A walk's result: `Err` is a failure of the store, the inner error a fault of the tar.
type Walked<T> = Result<Result<T, String>, StoreError>;

impl TarStream {
    /// A part of a tar. `piece_bytes` are read at a time, from 1 MiB on with the next piece ahead.
    pub fn of_object(object: PinnedObject, part: Range<u64>, piece_bytes: u64) -> Self {
        let range = part.start..object.bytes;
        Self::new(Forward::Plain(Window::new(Ranges::Object(object), range, piece_bytes)), part.end)
    }

    /// A whole tar that is compressed with gzip.
    pub fn of_gzip(object: PinnedObject, piece_bytes: u64) -> Self {
        let range = 0..object.bytes;
        let window = Window::new(Ranges::Object(object), range, piece_bytes);
        Self::new(Forward::gzip(window), u64::MAX)
    }

    /// A whole tar in a local file of this size. The walk blocks its thread.
    pub fn of_file(file: File, path: PathBuf, bytes: u64, piece_bytes: u64) -> Self {
        let ranges = Ranges::File(Arc::new((file, path)));
        Self::new(Forward::Plain(Window::new(ranges, 0..bytes, piece_bytes)), bytes)
    }

    fn new(bytes: Forward, end: u64) -> Self {
        Self { bytes, end, left: 0, padding: 0, key: None, is_over: false }
    }

    /// Requests and bytes so far.
    pub fn cost(&self) -> (u64, u64) {
        self.bytes.cost()
    }

    /// Offset of the walk in the object, for an estimate of the rest.
    pub fn at_in_object(&self) -> u64 {
        self.bytes.at_in_object()
    }

    /// The next member, without its data; `None` at the end.
    ///
    /// # Errors
    /// The store fails. A damaged tar is an item, and the last one.
    pub async fn next(&mut self) -> Result<Option<TarItem>, StoreError> {
        if self.is_over {
            return Ok(None);
        }
        let found = self.walk().await?;
        self.is_over = !matches!(found, Ok(Some(_)));
        Ok(match found {
            Ok(member) => member.map(TarItem::Member),
            Err(why) => {
                let why = self.bytes.fault().map_or(why.clone(), |fault| format!("{why} ({fault})"));
                Some(TarItem::Damage { at: self.bytes.at(), why })
            }
        })
    }

    /// Reads the data of the current member, at most `most` bytes. Fewer bytes than the member has come back
    /// at `most` or where the tar ends within the member.
    ///
    /// # Errors
    /// The store fails.
    pub async fn read(&mut self, most: u64) -> Result<Bytes, StoreError> {
        let data = self.bytes.take(self.left.min(most)).await?;
        self.left -= data.len() as u64;
        Ok(data)
    }

    async fn walk(&mut self) -> Walked<Option<Member>> {
        let (mut pending, mut first_header) = (Pending::default(), None);
        loop {
            if let Err(why) = self.leave_member().await? {
                return Ok(Err(why));
            }
            let at = self.bytes.at();
            if first_header.is_none() && at >= self.end {
                return Ok(Ok(None));
            }
            let block = match self.block().await? {
                Ok(Some(block)) => block,
                Ok(None) if first_header.is_none() => return Ok(Ok(None)),
                Ok(None) => return Ok(Err("the tar ends after a pax header or long name".to_owned())),
                Err(why) => return Ok(Err(why)),
            };
            let header_at = *first_header.get_or_insert(at);
            match pending.decode(&block) {
                Err(why) => return Ok(Err(why)),
                Ok(Decoded::End) => return Ok(Ok(None)),
                Ok(Decoded::Extension { kind, bytes }) => {
                    self.enter(bytes);
                    let data = self.read(bytes).await?;
                    if let Err(why) = pending.extend(kind, &data) {
                        return Ok(Err(why));
                    }
                }
                Ok(Decoded::Other { bytes }) => {
                    self.enter(bytes);
                    // Headers that wait for the next member stay with it.
                    first_header = first_header.filter(|_| !pending.is_empty());
                }
                Ok(Decoded::File { name, bytes, is_sparse, map_continues }) => {
                    if map_continues && let Err(why) = self.pass_map().await? {
                        return Ok(Err(why));
                    }
                    self.enter(bytes);
                    if let Some(member) = self.member(name, header_at, bytes, is_sparse) {
                        return Ok(Ok(Some(member)));
                    }
                    first_header = None;
                }
            }
        }
    }

    fn member(&mut self, name: Vec<u8>, header_at: u64, bytes: u64, is_sparse: bool) -> Option<Member> {
        let (key, suffix) = split(&name).filter(|_| !is_metadata(&name))?;
        let is_first = self.key.as_ref() != Some(&key);
        self.key = Some(key.clone());
        Some(Member { name, key, suffix, header_at, bytes, is_sparse, is_first })
    }

    fn enter(&mut self, bytes: u64) {
        (self.left, self.padding) = (bytes, bytes.next_multiple_of(BLOCK) - bytes);
    }

    /// Skips what is left of the current member. Padding at the end of the object may be missing.
    async fn leave_member(&mut self) -> Walked<()> {
        let left = std::mem::take(&mut self.left);
        if self.bytes.skip(left).await? < left {
            return Ok(Err("the tar ends within a member".to_owned()));
        }
        self.bytes.skip(std::mem::take(&mut self.padding)).await?;
        Ok(Ok(()))
    }

    /// The next block; `None` at the end of the object.
    async fn block(&mut self) -> Walked<Option<[u8; BLOCK as usize]>> {
        let block = self.bytes.take(BLOCK).await?;
        Ok(match <[u8; BLOCK as usize]>::try_from(block.as_ref()) {
            Ok(block) => Ok(Some(block)),
            Err(_) if block.is_empty() && self.bytes.fault().is_none() => Ok(None),
            Err(_) => Err("the tar ends within a header".to_owned()),
        })
    }

    /// Skips the blocks of a sparse file's map.
    async fn pass_map(&mut self) -> Walked<()> {
        loop {
            match self.block().await? {
                Ok(Some(block)) if map_continues(&block) => {}
                Ok(Some(_)) => return Ok(Ok(())),
                Ok(None) => return Ok(Err("the tar ends within a sparse file's map".to_owned())),
                Err(why) => return Ok(Err(why)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
