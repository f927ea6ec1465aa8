//! Headers of a tar, decoded by the `tar` crate: the next member, with the names and sizes of the GNU and pax
//! headers before it.

use tar::{EntryType, GnuExtSparseHeader, Header, PaxExtensions};

/// Bytes of a header, and the multiple to which data is padded.
pub const BLOCK: u64 = 512;

/// Largest pax header or GNU long name that is read. A path has at most a few kilobytes.
pub(super) const EXTENSION_BYTES: u64 = 1 << 20;

/// Block after a sparse header that continues its map.
pub(super) fn map_continues(block: &[u8; BLOCK as usize]) -> bool {
    let mut map = GnuExtSparseHeader::new();
    map.as_mut_bytes().copy_from_slice(block);
    map.is_extended()
}

/// One header.
pub(super) enum Decoded {
    /// The block of zeros that ends a tar.
    End,
    /// A header for the next member; its data is read.
    Extension { kind: Extension, bytes: u64 },
    /// An entry that is not a file, or a header without use; its data is skipped.
    Other { bytes: u64 },
    /// A file.
    File { name: Vec<u8>, bytes: u64, is_sparse: bool, map_continues: bool },
}

/// Kind of a header for the next member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    LongName,
    Pax,
}

/// Values for the next member.
#[derive(Debug, Default)]
pub(super) struct Pending {
    name: Option<Vec<u8>>,
    bytes: Option<u64>,
    is_sparse: bool,
}

impl Pending {
    /// Adds a header for the next member. The error is the fault of the header.
    pub fn extend(&mut self, kind: Extension, data: &[u8]) -> Result<(), String> {
        match kind {
            Extension::LongName => {
                let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
                self.name = Some(data[..end].to_vec());
            }
            Extension::Pax => {
                for record in PaxExtensions::new(data) {
                    let record = record.map_err(|error| format!("a pax header is malformed: {error}"))?;
                    self.take(record.key_bytes(), record.value_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// Whether no header is waiting for the next member.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.bytes.is_none() && !self.is_sparse
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        match key {
            b"path" if !self.is_sparse => self.name = Some(value.to_vec()),
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            b"size" => {
                let number = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
                self.bytes = Some(number.ok_or("a pax header has a size that is not a number")?);
            }
            _ => {}
        }
        self.is_sparse |= key.starts_with(b"GNU.sparse.");
        Ok(())
    }

    /// Decodes the next header. A file takes the pending values. The error is the fault of the header.
    pub fn decode(&mut self, block: &[u8; BLOCK as usize]) -> Result<Decoded, String> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(Decoded::End);
        }
        let header = Header::from_byte_slice(block);
        check_sum(header)?;
        let bytes = header.entry_size().map_err(|error| format!("a header is damaged: {error}"))?;
        let extension = |kind| match bytes {
            0..=EXTENSION_BYTES => Ok(Decoded::Extension { kind, bytes }),
            _ => Err(format!("a pax header or long name has {bytes} bytes, the limit is {EXTENSION_BYTES}")),
        };
        match header.entry_type() {
            EntryType::GNULongName => return extension(Extension::LongName),
            EntryType::XHeader => return extension(Extension::Pax),
            EntryType::GNULongLink | EntryType::XGlobalHeader => return Ok(Decoded::Other { bytes }),
            _ => {}
        }
        let Self { name, bytes: long, is_sparse } = std::mem::take(self);
        let bytes = long.unwrap_or(bytes);
        if bytes > i64::MAX as u64 {
            return Err(format!("a header states {bytes} bytes"));
        }
        Ok(match header.entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Decoded::File {
                name: name.unwrap_or_else(|| header.path_bytes().into_owned()),
                bytes,
                is_sparse: is_sparse || header.entry_type() == EntryType::GNUSparse,
                map_continues: header.entry_type() == EntryType::GNUSparse
                    && header.as_gnu().is_some_and(|header| header.is_extended()),
            },
            // As in Python's tarfile, which webdataset uses: these have no data, for any size.
            EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo => Decoded::Other { bytes: 0 },
            _ => Decoded::Other { bytes },
        })
    }
}

fn check_sum(header: &Header) -> Result<(), String> {
    let mut right = header.clone();
    right.set_cksum();
    match (header.cksum(), right.cksum()) {
        (Ok(found), Ok(right)) if found == right => Ok(()),
        _ => Err("a header has a wrong checksum".to_owned()),
    }
}
