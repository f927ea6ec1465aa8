//! Footer of a Parquet file, checked before it is decoded.
//!
//! A file is untrusted, and its schema is a tree that every decoder walks by recursion. The bytes are
//! therefore first scanned by a loop; only a footer with a bounded depth is decoded.

mod compact;
mod page;
mod scan;
mod types;

pub use page::{PageSize, page_size};
pub use scan::SCHEMA_LEVELS;
pub use types::{promised, stored};

use crate::PinnedObject;
use bytes::{Bytes, BytesMut};
use futures::{FutureExt as _, future::BoxFuture};
use parquet::{
    arrow::async_reader::MetadataFetch,
    errors::{ParquetError, Result},
    file::metadata::{FooterTail, ParquetMetaData, ParquetMetaDataOptions, ParquetMetaDataReader},
    schema::types::SchemaDescPtr,
};
use std::{collections::BTreeSet, ops::Range};

/// Bytes of the first request. Footers of image files are nearly always smaller, so one request suffices.
const PREFETCH_BYTES: u64 = 64 << 10;

/// Bytes at the end of a file: the length of the footer and the magic.
const TAIL_BYTES: u64 = 8;

/// A footer that is safe to decode.
#[derive(Debug)]
pub struct Footer {
    /// Bytes from the start of the footer to the end of the file.
    bytes: Bytes,
    schema: SchemaDescPtr,
    encrypted: BTreeSet<usize>,
}

impl Footer {
    /// Reads and checks the footer of an object.
    ///
    /// # Errors
    /// A failure of the store, as a [`ParquetError::External`] that contains a [`crate::StoreError`]; any
    /// other error is a fault of the file.
    pub(crate) async fn read(object: &PinnedObject) -> Result<Self> {
        let bytes = bytes_of(object).await?;
        let metadata = &bytes[..bytes.len() - TAIL_BYTES as usize];
        let encrypted = scan::scan(metadata)?.encrypted;
        let schema = ParquetMetaDataReader::decode_schema(metadata)?;
        Ok(Self { bytes, schema, encrypted })
    }

    /// The columns as the file describes them.
    pub fn schema(&self) -> &SchemaDescPtr {
        &self.schema
    }

    /// Names of the columns with encrypted pages, in the order of the file.
    pub fn encrypted_columns(&self) -> Vec<&str> {
        let known = self.encrypted.iter().filter(|leaf| **leaf < self.schema.num_columns());
        let mut names: Vec<&str> = known.map(|leaf| self.schema.get_column_root(*leaf).name()).collect();
        names.dedup();
        names
    }

    /// Decodes the row groups with a schema: the file's own one, or the one of [`stored`].
    pub fn decode(&self, schema: SchemaDescPtr) -> Result<ParquetMetaData> {
        let options = ParquetMetaDataOptions::new().with_schema(schema);
        ParquetMetaDataReader::decode_metadata_with_options(self.metadata(), Some(&options))
    }

    fn metadata(&self) -> &[u8] {
        &self.bytes[..self.bytes.len() - TAIL_BYTES as usize]
    }
}

async fn bytes_of(object: &PinnedObject) -> Result<Bytes> {
    let external = |error| ParquetError::External(Box::new(error));
    let end = object.bytes;
    if end < TAIL_BYTES {
        return Err(ParquetError::General(format!("the file has {end} bytes, too few for a Parquet file")));
    }
    let start = end.saturating_sub(PREFETCH_BYTES);
    let last = object.range(start..end).await.map_err(external)?;
    let tail = FooterTail::try_from(&last[last.len() - TAIL_BYTES as usize..])?;
    let length = tail.metadata_length() as u64;
    if tail.is_encrypted_footer() {
        return Err(ParquetError::General(
            "the footer is encrypted; write the file without encryption".to_owned(),
        ));
    }
    let Some(first) = end.checked_sub(TAIL_BYTES + length) else {
        let message = format!("the footer's length is {length} bytes, the file has {end}: was the file cut?");
        return Err(ParquetError::General(message));
    };
    if first >= start {
        return Ok(last.slice((first - start) as usize..));
    }
    let mut bytes = BytesMut::from(object.range(first..start).await.map_err(external)?);
    bytes.extend_from_slice(&last);
    Ok(bytes.freeze())
}

/// Source of bytes for the decoder: the footer's bytes and, for earlier ranges (the page index), the object.
pub(crate) struct FooterFirst<'a> {
    pub footer: &'a Footer,
    pub object: &'a PinnedObject,
}

impl MetadataFetch for FooterFirst<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        let start = self.object.bytes - self.footer.bytes.len() as u64;
        async move {
            if range.start >= start && range.end <= self.object.bytes {
                return Ok(self
                    .footer
                    .bytes
                    .slice((range.start - start) as usize..(range.end - start) as usize));
            }
            self.object.range(range).await.map_err(|error| ParquetError::External(Box::new(error)))
        }
        .boxed()
    }
}
