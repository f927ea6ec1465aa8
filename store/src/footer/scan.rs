//! Facts of a footer that are needed before it is decoded: the depth of its schema, and its encrypted
//! columns.

use super::compact::Compact;
use parquet::errors::{ParquetError, Result};
use std::collections::BTreeSet;

/// Most levels of groups in a schema. The decoder and the readers recurse once per level; a tree of this
/// depth takes a tenth of a thread's stack of 2 MB. The pairs table of the deepest pass-through column has
/// fewer levels.
pub const SCHEMA_LEVELS: usize = 128;

/// Result of scanning a footer.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Numbers of the leaf columns with encrypted pages in some row group.
    pub encrypted: BTreeSet<usize>,
}

/// Scans the footer's `FileMetaData`.
///
/// # Errors
/// A damaged footer, and a schema with more than [`SCHEMA_LEVELS`] levels.
pub(super) fn scan(bytes: &[u8]) -> Result<Scan> {
    let (mut compact, mut found, mut last) = (Compact::new(bytes), Scan::default(), 0);
    while let Some(field) = compact.field(last)? {
        match field.id {
            1 | 3 => drop_number(&mut compact)?,
            2 => schema(&mut compact)?,
            4 => each(&mut compact, |compact, _, _| row_group(compact, &mut found))?,
            _ => compact.skip(field.kind)?,
        }
        last = field.id;
    }
    Ok(found)
}

/// Reads each element of a list of structs; `element` receives its number and the number of later ones.
fn each<'a>(
    compact: &mut Compact<'a>,
    mut element: impl FnMut(&mut Compact<'a>, usize, usize) -> Result<()>,
) -> Result<()> {
    let (_, count) = compact.list()?;
    // A struct has at least one byte.
    let count = usize::try_from(count).ok().filter(|count| *count <= compact.left());
    let count =
        count.ok_or_else(|| ParquetError::General("the footer is damaged: a list is too long".to_owned()))?;
    (0..count).try_for_each(|index| element(compact, index, count - index - 1))
}

/// Scans the schema: a tree written as a list, parents first, with the number of children in each element.
fn schema(compact: &mut Compact<'_>) -> Result<()> {
    // Number of children still to come: of each open group, and in total.
    let (mut open, mut expected): (Vec<u64>, u64) = (Vec::new(), 0);
    each(compact, |compact, _, elements_left| {
        let children = children_of_element(compact)?;
        if let Some(left) = open.last_mut() {
            *left -= 1;
            expected -= 1;
        }
        // The decoder reserves memory for the announced number.
        expected += children;
        if expected > elements_left as u64 {
            return Err(ParquetError::General(
                "the footer is damaged: a group has too many columns".to_owned(),
            ));
        }
        open.push(children);
        if open.len() > SCHEMA_LEVELS + 1 {
            return Err(ParquetError::General(format!(
                "the schema nests columns more than {SCHEMA_LEVELS} levels deep, too deep for readers; \
                 write the file without that column"
            )));
        }
        while open.last() == Some(&0) {
            open.pop();
        }
        Ok(())
    })
}

fn children_of_element(compact: &mut Compact<'_>) -> Result<u64> {
    let (mut children, mut last) = (0, 0);
    while let Some(field) = compact.field(last)? {
        match field.id {
            5 => children = compact.signed()? as i32,
            1..=3 | 6..=9 => drop_number(compact)?,
            4 => compact.skip_string()?,
            _ => compact.skip(field.kind)?,
        }
        last = field.id;
    }
    u64::try_from(children).map_err(|_| {
        ParquetError::General("the footer is damaged: a group has a negative number of columns".to_owned())
    })
}

fn row_group(compact: &mut Compact<'_>, found: &mut Scan) -> Result<()> {
    let mut last = 0;
    while let Some(field) = compact.field(last)? {
        match field.id {
            1 => each(compact, |compact, leaf, _| column_chunk(compact, leaf, found))?,
            _ => compact.skip(field.kind)?,
        }
        last = field.id;
    }
    Ok(())
}

fn column_chunk(compact: &mut Compact<'_>, leaf: usize, found: &mut Scan) -> Result<()> {
    let mut last = 0;
    while let Some(field) = compact.field(last)? {
        // `crypto_metadata` and `encrypted_column_metadata`.
        if matches!(field.id, 8 | 9) {
            found.encrypted.insert(leaf);
        }
        compact.skip(field.kind)?;
        last = field.id;
    }
    Ok(())
}

fn drop_number(compact: &mut Compact<'_>) -> Result<()> {
    compact.signed().map(|_| ())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A footer whose schema is a chain of `groups` groups below the root, and a leaf of 32-bit integers.
    fn nested(groups: usize) -> Vec<u8> {
        let (group, leaf) = (b"\x35\x00\x18\x01s\x15\x02\x00", b"\x15\x02\x25\x00\x18\x01k\x00");
        let mut bytes = b"\x15\x02\x19\xfc".to_vec();
        let mut count = groups + 2;
        while count > 127 {
            bytes.push(count as u8 & 127 | 128);
            count >>= 7;
        }
        bytes.push(count as u8);
        bytes.extend_from_slice(b"\x48\x01s\x15\x02\x00");
        bytes.extend(group.repeat(groups));
        bytes.extend_from_slice(leaf);
        bytes.extend_from_slice(b"\x16\x00\x19\x0c\x00");
        bytes
    }

    #[test]
    fn a_schema_nested_beyond_any_reader_is_refused_before_it_is_decoded() {
        use parquet::file::metadata::ParquetMetaDataReader;
        let deepest = nested(SCHEMA_LEVELS - 1);
        scan(&deepest).unwrap();
        assert_eq!(ParquetMetaDataReader::decode_schema(&deepest).unwrap().num_columns(), 1);
        for groups in [SCHEMA_LEVELS, 6_000, 1_000_000] {
            let error = scan(&nested(groups)).unwrap_err().to_string();
            assert!(error.contains("more than 128 levels deep"), "{groups}: {error}");
        }
    }

    #[test]
    fn a_group_that_announces_more_columns_than_there_are_is_refused() {
        // 2^31 - 1 children, for which the decoder would reserve 16 GB.
        let bytes = b"\x15\x02\x19\x2c\x48\x01s\x15\xfe\xff\xff\xff\x0f\x00\x15\x02\x25\x00\x18\x01k\x00\
              \x16\x00\x19\x0c\x00";
        let error = scan(bytes).unwrap_err().to_string();
        assert!(error.contains("too many columns"), "{error}");
    }

    #[test]
    fn every_cut_of_a_footer_is_an_error_and_no_panic() {
        let whole = nested(3);
        for length in 0..whole.len() {
            assert!(scan(&whole[..length]).is_err(), "{length} bytes");
        }
        // A list of 2^64 - 1 booleans in an unknown field takes no time.
        scan(b"\xf9\xf2\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00").unwrap();
    }
}
