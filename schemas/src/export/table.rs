//! Columns of an exported Parquet file.

use super::VERSION;
use crate::pairs::image_fields;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use std::{collections::HashMap, sync::Arc};

/// Columns of an exported Parquet file: capfilt's, then the pass-through columns. `image` is Hugging Face's
/// image struct; `itm` and `cosine` are null without a filter's score.
pub fn schema(passthrough: &[Field]) -> SchemaRef {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let mut fields = vec![
        text("key", true),
        Field::new("image", DataType::Struct(image_fields()), true),
        text("caption", false),
        text("source", false),
        Field::new("itm", DataType::Float32, true),
        Field::new("cosine", DataType::Float32, true),
        Field::new("captions", DataType::List(caption_item()), false),
        text("url", true),
        Field::new("width", DataType::UInt32, false),
        Field::new("height", DataType::UInt32, false),
    ];
    fields.extend(passthrough.iter().cloned());
    let metadata = HashMap::from([("capfilt.export.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// The list item of column `captions`.
pub fn caption_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(caption_fields()), false))
}

/// Fields of one caption.
pub fn caption_fields() -> Fields {
    Fields::from(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("itm", DataType::Float32, true),
        Field::new("cosine", DataType::Float32, true),
    ])
}
