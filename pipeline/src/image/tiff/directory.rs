//! First directory of a TIFF: its tags and their values.

use super::super::samples::ByteOrder;
use super::faults::undecodable;
use crate::image::ImageSkip;
use std::collections::HashMap;

/// Tag numbers.
pub(super) mod tag {
    pub const WIDTH: u16 = 256;
    pub const HEIGHT: u16 = 257;
    pub const BITS_PER_SAMPLE: u16 = 258;
    pub const COMPRESSION: u16 = 259;
    pub const PHOTOMETRIC: u16 = 262;
    pub const FILL_ORDER: u16 = 266;
    pub const STRIP_OFFSETS: u16 = 273;
    pub const ORIENTATION: u16 = 274;
    pub const SAMPLES_PER_PIXEL: u16 = 277;
    pub const ROWS_PER_STRIP: u16 = 278;
    pub const STRIP_LENGTHS: u16 = 279;
    pub const PLANES: u16 = 284;
    pub const T4_OPTIONS: u16 = 292;
    pub const PREDICTOR: u16 = 317;
    pub const PALETTE: u16 = 320;
    pub const TILE_WIDTH: u16 = 322;
    pub const TILE_HEIGHT: u16 = 323;
    pub const TILE_OFFSETS: u16 = 324;
    pub const TILE_LENGTHS: u16 = 325;
    pub const EXTRA_SAMPLES: u16 = 338;
    pub const SAMPLE_FORMAT: u16 = 339;
    pub const JPEG_TABLES: u16 = 347;

    /// All supported tags.
    pub const READ: [u16; 22] = [
        WIDTH,
        HEIGHT,
        BITS_PER_SAMPLE,
        COMPRESSION,
        PHOTOMETRIC,
        FILL_ORDER,
        STRIP_OFFSETS,
        ORIENTATION,
        SAMPLES_PER_PIXEL,
        ROWS_PER_STRIP,
        STRIP_LENGTHS,
        PLANES,
        T4_OPTIONS,
        PREDICTOR,
        PALETTE,
        TILE_WIDTH,
        TILE_HEIGHT,
        TILE_OFFSETS,
        TILE_LENGTHS,
        EXTRA_SAMPLES,
        SAMPLE_FORMAT,
        JPEG_TABLES,
    ];
}

pub(super) struct Directory<'a> {
    pub order: ByteOrder,
    entries: HashMap<u16, Entry<'a>>,
}

/// Stored values of a tag.
struct Entry<'a> {
    /// Bytes of a value for unsigned integer types; 1 for other types.
    size: usize,
    values: &'a [u8],
}

/// Positions of numbers in classic TIFF and BigTIFF.
struct Form {
    order: ByteOrder,
    is_big: bool,
}

impl Form {
    /// Bytes of an offset or a count.
    fn wide(&self) -> usize {
        if self.is_big { 8 } else { 4 }
    }

    fn number(&self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        bytes.get(at..at.checked_add(size)?).map(|bytes| number(self.order, bytes))
    }
}

fn number(order: ByteOrder, bytes: &[u8]) -> u64 {
    let join = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    match order {
        ByteOrder::Big => bytes.iter().fold(0, join),
        ByteOrder::Little => bytes.iter().rev().fold(0, join),
    }
}

impl<'a> Directory<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImageSkip> {
        let order = if bytes[0] == b'I' { ByteOrder::Little } else { ByteOrder::Big };
        let form = Form { order, is_big: bytes[2..4].contains(&b'+') };
        let entries = Self::entries(bytes, &form)
            .ok_or_else(|| undecodable("the file is truncated: its directory is not in it"))?;
        Ok(Self { order, entries })
    }

    fn entries(bytes: &'a [u8], form: &Form) -> Option<HashMap<u16, Entry<'a>>> {
        let (wide, count_size) = (form.wide(), if form.is_big { 8 } else { 2 });
        let at = usize::try_from(form.number(bytes, wide, wide)?).ok()?;
        let count = usize::try_from(form.number(bytes, at, count_size)?).ok()?;
        let (length, first) = (4 + 2 * wide, at + count_size);
        let whole = bytes.get(first..)?.chunks_exact(length);
        if whole.len() < count {
            return None;
        }
        let is_read =
            |entry: &&[u8]| form.number(entry, 0, 2).is_some_and(|tag| tag::READ.contains(&(tag as u16)));
        whole.take(count).filter(is_read).map(|entry| Self::entry(bytes, form, entry)).collect()
    }

    /// Returns `None` for values outside the file.
    fn entry(bytes: &'a [u8], form: &Form, entry: &'a [u8]) -> Option<(u16, Entry<'a>)> {
        let wide = form.wide();
        let [tag, kind] = [0, 2].map(|at| form.number(entry, at, 2));
        let count = usize::try_from(form.number(entry, 4, wide)?).ok()?;
        let size = match kind? {
            3 => 2,
            4 | 13 => 4,
            16 | 18 => 8,
            _ => 1,
        };
        let length = count.checked_mul(size)?;
        let values = if length <= wide {
            &entry[4 + wide..][..length]
        } else {
            let at = usize::try_from(form.number(entry, 4 + wide, wide)?).ok()?;
            bytes.get(at..at.checked_add(length)?)?
        };
        Some((tag? as u16, Entry { size, values }))
    }

    pub(super) fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        let entry = self.entries.get(&tag)?;
        Some(entry.values.chunks_exact(entry.size).map(|value| number(self.order, value)).collect())
    }

    /// The first value.
    pub(super) fn number(&self, tag: u16) -> Option<u64> {
        let entry = self.entries.get(&tag)?;
        entry.values.get(..entry.size).map(|value| number(self.order, value))
    }

    pub(super) fn bytes(&self, tag: u16) -> Option<&'a [u8]> {
        self.entries.get(&tag).map(|entry| entry.values)
    }
}
