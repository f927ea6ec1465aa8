//! Conversion of a column from its stored type to its schema type.
//!
//! Strings are read as bytes and INT96 timestamps as 12 bytes (see [`capfilt_store::footer`]), so that a
//! value that does not fit its schema type becomes null without failing the batch. Where the schema does not
//! allow null (a map's key), the value that contains it becomes null.

use arrow::{
    array::{
        Array, ArrayRef, AsArray as _, BinaryArray, BooleanArray, ListArray, MapArray, StringArray,
        StringBuilder, StructArray, TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::{cast, nullif},
    datatypes::{DataType, FieldRef, Fields},
    error::ArrowError,
};
use std::{collections::BTreeMap, sync::Arc};

/// Reason why a value became null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    NotUtf8,
    BeyondMicroseconds,
}

impl Why {
    /// Note for the ledger.
    pub(super) fn note(self, column: &str) -> String {
        match self {
            Self::NotUtf8 => format!("`{column}` is not UTF-8 here, and was read as null"),
            Self::BeyondMicroseconds => {
                format!(
                    "`{column}` has a year here that microseconds of 64 bits do not reach, and was read as \
                    null"
                )
            }
        }
    }
}

/// Positions of values that became null, with the reason.
pub(super) type Places = BTreeMap<usize, Why>;

/// A column of its schema type.
#[derive(Debug)]
pub(super) struct Restored {
    pub array: ArrayRef,
    /// Rows in which a value became null.
    pub lost: Places,
}

/// A column, or a part of one, with placeholders for unreadable values.
struct Part {
    array: ArrayRef,
    /// Positions of the placeholders.
    gaps: Places,
    /// Positions at which a contained value became null.
    lost: Places,
}

impl Part {
    fn whole(array: ArrayRef) -> Self {
        Self { array, gaps: Places::new(), lost: Places::new() }
    }

    /// Turns the gaps into nulls if the type is nullable. Else the gaps stay, and the containing value
    /// handles them.
    fn settled(mut self, nullable: bool) -> Result<Self, ArrowError> {
        if nullable && !self.gaps.is_empty() {
            let is_gap: BooleanArray =
                (0..self.array.len()).map(|row| Some(self.gaps.contains_key(&row))).collect();
            self.array = with_nulls(&self.array, &is_gap)?;
            self.lost.append(&mut self.gaps);
        }
        Ok(self)
    }
}

/// Converts a top-level column, which may always be null.
///
/// # Errors
/// The stored column does not have the structure of the schema type, which is a bug of this program.
pub(super) fn restore(stored: &ArrayRef, promised: &DataType) -> Result<Restored, ArrowError> {
    let Part { array, lost, .. } = part(stored, promised)?.settled(true)?;
    Ok(Restored { array, lost })
}

fn part(stored: &ArrayRef, promised: &DataType) -> Result<Part, ArrowError> {
    match (stored.data_type(), promised) {
        (found, wanted) if found == wanted => Ok(Part::whole(Arc::clone(stored))),
        (DataType::BinaryView | DataType::LargeBinary, DataType::Utf8 | DataType::Binary) => {
            part(&cast(stored, &DataType::Binary)?, promised)
        }
        (DataType::Binary, DataType::Utf8) => Ok(strings(stored.as_binary())),
        (DataType::FixedSizeBinary(_), DataType::Timestamp(..)) => Ok(timestamps(stored)),
        (DataType::Struct(_), DataType::Struct(fields)) => structs(stored.as_struct(), fields),
        (DataType::List(_), DataType::List(field)) => {
            let list = stored.as_list::<i32>();
            let (values, part) = elements(list.offsets(), list.values(), field)?;
            let list =
                ListArray::try_new(Arc::clone(field), list.offsets().clone(), values, list.nulls().cloned())?;
            Ok(Part { array: Arc::new(list), ..part })
        }
        (DataType::Map(..), DataType::Map(field, ordered)) => {
            let map = stored.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            let (entries, part) = elements(map.offsets(), &entries, field)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            let map =
                MapArray::try_new(Arc::clone(field), offsets, entries.as_struct().clone(), nulls, *ordered)?;
            Ok(Part { array: Arc::new(map), ..part })
        }
        (found, wanted) => Err(ArrowError::CastError(format!("{found} cannot be read as {wanted}"))),
    }
}

fn strings(stored: &BinaryArray) -> Part {
    // The usual case, without a copy.
    if let Ok(strings) = StringArray::try_from_binary(stored.clone()) {
        return Part::whole(Arc::new(strings));
    }
    let (mut strings, mut gaps) =
        (StringBuilder::with_capacity(stored.len(), stored.value_data().len()), Places::new());
    for (row, cell) in stored.iter().enumerate() {
        match cell.map(std::str::from_utf8) {
            None => strings.append_null(),
            Some(Ok(text)) => strings.append_value(text),
            Some(Err(_)) => {
                strings.append_value("");
                gaps.insert(row, Why::NotUtf8);
            }
        }
    }
    Part { array: Arc::new(strings.finish()), gaps, lost: Places::new() }
}

/// INT96: nanoseconds of the day in 8 bytes, then the Julian day in 4, little-endian.
fn timestamps(stored: &ArrayRef) -> Part {
    let mut gaps = Places::new();
    let mut cell = |(row, cell): (usize, Option<&[u8]>)| {
        let moment = microseconds_of_int96(cell?);
        if moment.is_none() {
            gaps.insert(row, Why::BeyondMicroseconds);
        }
        Some(moment.unwrap_or(0))
    };
    let cells = stored.as_fixed_size_binary().iter().enumerate();
    let moments: TimestampMicrosecondArray = cells.map(&mut cell).collect();
    Part { array: Arc::new(moments), gaps, lost: Places::new() }
}

/// Microseconds since 1970. Nanoseconds below a microsecond are cut off, as in DuckDB and Spark.
fn microseconds_of_int96(bytes: &[u8]) -> Option<i64> {
    /// Julian day of 1970-01-01.
    const EPOCH: i128 = 2_440_588;
    let (nanoseconds, day) = bytes.split_first_chunk::<8>()?;
    let nanoseconds = i128::from(i64::from_le_bytes(*nanoseconds));
    let day = i128::from(i32::from_le_bytes(day.try_into().ok()?));
    i64::try_from((day - EPOCH) * 86_400_000_000 + nanoseconds.div_euclid(1_000)).ok()
}

fn structs(stored: &StructArray, promised: &Fields) -> Result<Part, ArrowError> {
    let (mut columns, mut gaps, mut lost) =
        (Vec::with_capacity(promised.len()), Places::new(), Places::new());
    for (column, field) in stored.columns().iter().zip(promised) {
        let part = part(column, field.data_type())?.settled(field.is_nullable())?;
        columns.push(part.array);
        gaps.extend(part.gaps);
        lost.extend(part.lost);
    }
    let array =
        StructArray::try_new_with_length(promised.clone(), columns, stored.nulls().cloned(), stored.len())?;
    Ok(Part { array: Arc::new(array), gaps, lost })
}

/// Restored elements of a list, and the list's gaps; the array of the part is still that of the elements.
fn elements(
    offsets: &OffsetBuffer<i32>,
    values: &ArrayRef,
    field: &FieldRef,
) -> Result<(ArrayRef, Part), ArrowError> {
    let part = part(values, field.data_type())?.settled(field.is_nullable())?;
    let row_of = |element: usize| {
        let rows = offsets.partition_point(|start| *start as usize <= element);
        // Elements before the first row or after the last belong to other batches.
        (rows > 0 && rows < offsets.len()).then(|| rows - 1)
    };
    let rows = |places: &Places| places.iter().filter_map(|(at, why)| Some((row_of(*at)?, *why))).collect();
    let (gaps, lost) = (rows(&part.gaps), rows(&part.lost));
    Ok((Arc::clone(&part.array), Part { array: part.array, gaps, lost }))
}

/// The same array with nulls at some positions.
fn with_nulls(array: &ArrayRef, is_null: &BooleanArray) -> Result<ArrayRef, ArrowError> {
    if array.data_type().is_nested() {
        let added = NullBuffer::new(!is_null.values());
        let nulls = NullBuffer::union(array.nulls(), Some(&added));
        return array.to_data().into_builder().nulls(nulls).build().map(arrow::array::make_array);
    }
    nullif(array, is_null)
}

#[cfg(test)]
#[path = "restore/tests.rs"]
mod tests;
