//! Sizes in a page's header, read before the page is decoded: a header of a few bytes can announce gigabytes.

use super::compact::Compact;
use parquet::errors::{ParquetError, Result};

/// Number of the page type "dictionary".
const DICTIONARY: i64 = 2;

/// Size and kind of a page, according to its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize {
    /// Whether the page holds the column's dictionary.
    pub is_dictionary: bool,
    /// Bytes that the decoder allocates for the page.
    pub decompressed: u64,
}

/// Reads the header at the beginning of `bytes`.
///
/// # Errors
/// Bytes that are not a header, a header that does not end within them, and a header without a size.
pub fn page_size(bytes: &[u8]) -> Result<PageSize> {
    let damaged = |_| ParquetError::General("a page's header is damaged".to_owned());
    read(&mut Compact::new(bytes))
        .map_err(damaged)?
        .ok_or_else(|| ParquetError::General("a page's header is damaged: the page has no size".to_owned()))
}

fn read(compact: &mut Compact<'_>) -> Result<Option<PageSize>> {
    let (mut last, mut kind, mut decompressed) = (0, None, None);
    while let Some(field) = compact.field(last)? {
        // Of equal fields the last one counts, as in the decoder.
        match field.id {
            1 => kind = Some(compact.signed()?),
            2 => decompressed = Some(compact.signed()?),
            3 | 4 => drop(compact.signed()?),
            _ => compact.skip(field.kind)?,
        }
        last = field.id;
    }
    let decompressed = decompressed.and_then(|bytes| u64::try_from(bytes as i32).ok());
    Ok(decompressed.map(|decompressed| PageSize { is_dictionary: kind == Some(DICTIONARY), decompressed }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_as_large_as_the_last_of_its_sizes_says() {
        // Type 2, 5 bytes decompressed, 4 compressed.
        let header = b"\x15\x04\x15\x0a\x15\x08\x00";
        assert_eq!(page_size(header).unwrap(), PageSize { is_dictionary: true, decompressed: 5 });
        // The size is repeated, in the long form of a field's head: 2^31 - 1 bytes.
        let twice = b"\x15\x00\x15\x0a\x15\x08\x05\x04\xfe\xff\xff\xff\x0f\x00";
        assert_eq!(page_size(twice).unwrap(), PageSize { is_dictionary: false, decompressed: (1 << 31) - 1 });
        for damaged in [&header[..6], b"\x15\x04\x00", b"\x15\x00\x15\x09\x15\x08\x00", b""] {
            page_size(damaged).unwrap_err();
        }
    }
}
