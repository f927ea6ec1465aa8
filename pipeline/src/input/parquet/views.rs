//! Byte columns read as views, which share the bytes of their page: a dictionary of one large value and a
//! million rows with this value take the memory of one value. Rows are measured and split as views before
//! they are copied.

use arrow::{
    array::{
        Array, ArrayRef, AsArray as _, BinaryViewArray, GenericByteViewArray, ListArray, RecordBatch,
        StringViewArray, UInt32Array,
    },
    array::{ByteView, StructArray},
    buffer::OffsetBuffer,
    compute::take,
    datatypes::{BinaryViewType, ByteViewType, DataType, Field, FieldRef, Fields, Schema, StringViewType},
};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    errors::ParquetError,
};
use std::sync::Arc;

/// The same file, read with views instead of strings and bytes, at any depth.
pub(super) fn read_with(metadata: &ArrowReaderMetadata) -> Result<ArrowReaderMetadata, ParquetError> {
    let options = ArrowReaderOptions::new().with_schema(Arc::new(viewed(metadata.schema())));
    ArrowReaderMetadata::try_new(Arc::clone(metadata.metadata()), options)
}

fn viewed(schema: &Schema) -> Schema {
    let fields: Fields = schema.fields().iter().map(viewed_field).collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

fn viewed_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::clone(field).with_data_type(viewed_type(field.data_type())))
}

fn viewed_type(plain: &DataType) -> DataType {
    match plain {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        DataType::List(item) => DataType::List(viewed_field(item)),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(viewed_field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(viewed_field(entries), *sorted),
        other => other.clone(),
    }
}

/// Bytes of each row's values after copying.
pub(super) fn row_bytes(batch: &RecordBatch) -> Vec<u64> {
    let mut bytes = vec![0; batch.num_rows()];
    batch.columns().iter().for_each(|column| add_bytes(column, &mut bytes));
    bytes
}

fn add_bytes(array: &ArrayRef, bytes: &mut [u64]) {
    let add_each = |bytes: &mut [u64], width: u64| bytes.iter_mut().for_each(|row| *row += width);
    match array.data_type() {
        DataType::BinaryView => add_lengths(array.as_binary_view(), bytes),
        DataType::Utf8View => add_lengths(array.as_string_view(), bytes),
        DataType::Struct(_) => array.as_struct().columns().iter().for_each(|child| add_bytes(child, bytes)),
        DataType::List(_) => {
            add_items(array.as_list::<i32>().values(), array.as_list::<i32>().value_offsets(), bytes)
        }
        DataType::Map(..) => {
            let entries: ArrayRef = Arc::new(array.as_map().entries().clone());
            add_items(&entries, array.as_map().value_offsets(), bytes);
        }
        DataType::FixedSizeBinary(width) => add_each(bytes, u64::try_from(*width).unwrap_or(0)),
        other => add_each(bytes, other.primitive_width().unwrap_or(1) as u64),
    }
}

fn add_lengths<T: ByteViewType>(array: &GenericByteViewArray<T>, bytes: &mut [u64]) {
    let lengths = array.lengths().enumerate().filter(|(row, _)| array.is_valid(*row));
    lengths.for_each(|(row, length)| bytes[row] += u64::from(length));
}

fn add_items(items: &ArrayRef, offsets: &[i32], bytes: &mut [u64]) {
    let mut of_items = vec![0; items.len()];
    add_bytes(items, &mut of_items);
    for (row, ends) in bytes.iter_mut().zip(offsets.windows(2)) {
        *row += of_items[ends[0] as usize..ends[1] as usize].iter().sum::<u64>();
    }
}

/// An image column without values of more than `limit` bytes, and the lengths of the removed values, per row.
/// `None` if all values fit.
pub(super) fn without_large(array: &ArrayRef, limit: u64) -> Option<(ArrayRef, Vec<Option<u64>>)> {
    match array.data_type() {
        DataType::BinaryView => {
            let large = large(array.as_binary_view(), limit)?;
            Some((emptied(array.as_binary_view(), &large), large))
        }
        DataType::Struct(fields) => {
            let (at, _) = fields.find("bytes")?;
            let cells = array.as_struct();
            let (bytes, large) = without_large(cells.column(at), limit)?;
            let mut columns = cells.columns().to_vec();
            columns[at] = bytes;
            let cells = StructArray::try_new(fields.clone(), columns, cells.nulls().cloned()).ok()?;
            Some((Arc::new(cells), large))
        }
        DataType::List(field) => clips_without_large(array.as_list::<i32>(), field, limit),
        // Text names an object, whose size the store reports.
        _ => None,
    }
}

/// Lists of frames without those of more than `limit` bytes in total, which become empty.
fn clips_without_large(
    clips: &ListArray,
    item: &FieldRef,
    limit: u64,
) -> Option<(ArrayRef, Vec<Option<u64>>)> {
    let mut bytes = vec![0; clips.len()];
    add_items(clips.values(), clips.value_offsets(), &mut bytes);
    let large: Vec<Option<u64>> = bytes.into_iter().map(|bytes| (bytes > limit).then_some(bytes)).collect();
    large.iter().any(Option::is_some).then_some(())?;
    let (mut items, mut lengths) = (Vec::new(), Vec::with_capacity(large.len()));
    for (ends, large) in clips.value_offsets().windows(2).zip(&large) {
        let range = ends[0] as u32..if large.is_some() { ends[0] } else { ends[1] } as u32;
        lengths.push(range.len());
        items.extend(range);
    }
    let values = take(clips.values(), &UInt32Array::from(items), None).ok()?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let clips = ListArray::try_new(Arc::clone(item), offsets, values, clips.nulls().cloned()).ok()?;
    Some((Arc::new(clips), large))
}

fn large<T: ByteViewType>(array: &GenericByteViewArray<T>, limit: u64) -> Option<Vec<Option<u64>>> {
    let over = |(row, length): (usize, u32)| {
        (array.is_valid(row) && u64::from(length) > limit).then(|| length.into())
    };
    let large: Vec<Option<u64>> = array.lengths().enumerate().map(over).collect();
    large.iter().any(Option::is_some).then_some(large)
}

/// Replaces values by empty ones instead of nulls, because the column may not be nullable.
fn emptied(array: &BinaryViewArray, large: &[Option<u64>]) -> ArrayRef {
    let views = array.views().iter().zip(large).map(|(view, large)| if large.is_some() { 0 } else { *view });
    let buffers = array.data_buffers().to_vec();
    Arc::new(BinaryViewArray::new(views.collect(), buffers, array.nulls().cloned()))
}

/// A column of texts, or of lists of texts, whose longest values are cut after `most` bytes or up to three
/// more, at a character boundary. `None` if all values fit.
pub(super) fn shortened(array: &ArrayRef, most: u64) -> Option<ArrayRef> {
    match array.data_type() {
        DataType::Utf8View => {
            let array = array.as_string_view();
            let views = shorter_views::<StringViewType>(array, most)?;
            let buffers = array.data_buffers().to_vec();
            StringViewArray::try_new(views.into(), buffers, array.nulls().cloned())
                .ok()
                .map(|array| Arc::new(array) as _)
        }
        DataType::BinaryView => {
            let array = array.as_binary_view();
            let views = shorter_views::<BinaryViewType>(array, most)?;
            let buffers = array.data_buffers().to_vec();
            BinaryViewArray::try_new(views.into(), buffers, array.nulls().cloned())
                .ok()
                .map(|array| Arc::new(array) as _)
        }
        DataType::List(field) => {
            let lists = array.as_list::<i32>();
            let (values, offsets) = (shortened(lists.values(), most)?, lists.offsets().clone());
            ListArray::try_new(Arc::clone(field), offsets, values, lists.nulls().cloned())
                .ok()
                .map(|array| Arc::new(array) as _)
        }
        _ => None,
    }
}

fn shorter_views<T: ByteViewType>(array: &GenericByteViewArray<T>, most: u64) -> Option<Vec<u128>> {
    let large = large(array, most)?;
    let cut = |(row, large): (usize, Option<u64>)| {
        let view = array.views()[row];
        if large.is_none() {
            return view;
        }
        let value: &[u8] = array.value(row).as_ref();
        let is_inside = |at: &usize| value.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
        // Bytes that are not UTF-8 may have no character boundary nearby; then the cut is at `most`.
        let end = (most as usize..most as usize + 4).find(|at| !is_inside(at)).unwrap_or(most as usize);
        let mut view = ByteView::from(view);
        view.length = end as u32;
        view.as_u128()
    };
    Some(large.into_iter().enumerate().map(cut).collect())
}

#[cfg(test)]
mod tests;
