//! Cursor over Thrift's compact protocol with bounded recursion.
//!
//! It parses the same bytes in the same way as the decoder of the `parquet` crate (there, a boolean in a
//! skipped list has no byte), so that the checked values are the decoded ones.

use parquet::errors::{ParquetError, Result};

/// Most levels of unknown structs and lists that are skipped.
const SKIP_DEPTH: u8 = 64;

/// Type of a field or of a list's elements, numbered as in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub id: i16,
    pub kind: Kind,
}

pub(super) struct Compact<'a> {
    rest: &'a [u8],
}

fn damaged(what: &str) -> ParquetError {
    ParquetError::General(format!("the footer is damaged: {what}"))
}

impl<'a> Compact<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Number of remaining bytes.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    fn byte(&mut self) -> Result<u8> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| damaged("it ends too early"))?;
        self.rest = rest;
        Ok(*first)
    }

    fn skip_bytes(&mut self, count: u64) -> Result<()> {
        let rest = usize::try_from(count).ok().and_then(|count| self.rest.get(count..));
        self.rest = rest.ok_or_else(|| damaged("it ends too early"))?;
        Ok(())
    }

    fn unsigned(&mut self) -> Result<u64> {
        let (mut value, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift = shift.wrapping_add(7);
        }
    }

    /// Reads a signed integer of any width.
    pub(super) fn signed(&mut self) -> Result<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Skips a string.
    pub(super) fn skip_string(&mut self) -> Result<()> {
        let length = self.unsigned()?;
        self.skip_bytes(length)
    }

    /// Reads the next field of a struct; `None` at the end of the struct.
    pub(super) fn field(&mut self, last_id: i16) -> Result<Option<Field>> {
        let header = self.byte()?;
        let (delta, kind) = (header >> 4, Kind(header & 0xf));
        if kind.0 == 0 {
            return Ok(None);
        }
        let id = match delta {
            0 => self.signed()? as i16,
            delta => last_id.checked_add(i16::from(delta)).ok_or_else(|| damaged("a field has no number"))?,
        };
        Ok(Some(Field { id, kind }))
    }

    /// Reads the head of a list: the type and the number of its elements.
    pub(super) fn list(&mut self) -> Result<(Kind, u64)> {
        let header = self.byte()?;
        let (short, kind) = (header >> 4, Kind(header & 0xf));
        let count = if short == 15 { self.unsigned()? } else { u64::from(short) };
        Ok((kind, count))
    }

    /// Skips a value.
    pub(super) fn skip(&mut self, kind: Kind) -> Result<()> {
        self.skip_within(kind, SKIP_DEPTH)
    }

    fn skip_within(&mut self, kind: Kind, depth: u8) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(damaged("unknown fields are nested too deeply"));
        };
        match kind.0 {
            1 | 2 => Ok(()),
            3 => self.skip_bytes(1),
            4..=6 => self.unsigned().map(|_| ()),
            7 => self.skip_bytes(8),
            8 => self.skip_string(),
            9 | 10 => {
                let (kind, count) = self.list()?;
                self.skip_all(count, &[kind], depth)
            }
            11 => self.skip_map(depth),
            12 => {
                while let Some(field) = self.field(0)? {
                    self.skip_within(field.kind, depth)?;
                }
                Ok(())
            }
            13 => self.skip_bytes(16),
            other => Err(damaged(&format!("type {other} does not exist"))),
        }
    }

    fn skip_map(&mut self, depth: u8) -> Result<()> {
        let count = self.unsigned()?;
        if count == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        self.skip_all(count, &[Kind(kinds >> 4), Kind(kinds & 0xf)], depth)
    }

    /// Skips `count` values of each of these kinds. Booleans have no byte here, and would let a few bytes
    /// cause 2^64 steps.
    fn skip_all(&mut self, count: u64, kinds: &[Kind], depth: u8) -> Result<()> {
        if kinds.iter().all(|kind| matches!(kind.0, 1 | 2)) {
            return Ok(());
        }
        (0..count).try_for_each(|_| kinds.iter().try_for_each(|kind| self.skip_within(*kind, depth)))
    }
}
