//! A Parquet file of pairs.

use super::Pair;
use ::parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use arrow::{
    array::{ArrayRef, BinaryArray, Float32Array, RecordBatch, StringArray, StructArray, new_null_array},
    datatypes::DataType,
    error::ArrowError,
};
use capfilt_schemas::{export::schema, pairs::image_fields};
use std::sync::Arc;

/// Pairs of a row group: what a trainer that shuffles row groups reads at a time.
const GROUP: usize = 1000;

/// The pairs as a file.
pub(crate) fn file(pairs: &[Pair]) -> Result<Vec<u8>, ParquetError> {
    let image = ColumnPath::from(vec!["image".to_owned(), "bytes".to_owned()]);
    // Images are compressed already, and nobody looks for one by its first bytes.
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_column_compression(image.clone(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(image.clone(), false)
        .set_column_statistics_enabled(image, EnabledStatistics::None)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema(), Some(properties))?;
    for group in pairs.chunks(GROUP) {
        writer.write(&batch(group)?)?;
        writer.flush()?;
    }
    writer.into_inner()
}

fn batch(pairs: &[Pair]) -> Result<RecordBatch, ArrowError> {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(pairs.iter().map(|pair| &pair.image)));
    let images = StructArray::try_new(image_fields(), vec![bytes, new_null_array(&DataType::Utf8, pairs.len())], None)?;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(pairs.iter().map(|pair| pair.key.as_deref()).collect::<StringArray>()),
        Arc::new(images),
        Arc::new(StringArray::from_iter_values(pairs.iter().map(|pair| &pair.text))),
        Arc::new(StringArray::from_iter_values(pairs.iter().map(|pair| pair.origin.name()))),
        Arc::new(pairs.iter().map(|pair| pair.itm).collect::<Float32Array>()),
    ];
    RecordBatch::try_new(schema(), columns)
}
