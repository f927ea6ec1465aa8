//! Columns of an exported Parquet file.

use crate::pairs::image_fields;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use std::{collections::HashMap, sync::Arc};

/// Version of the columns.
const VERSION: u32 = 2;

/// Columns of an exported Parquet file: capfilt's, then the pass-through columns. `image` is Hugging Face's
/// image struct; `itm` and `cosine` are null without a filter's score.
pub fn schema(passthrough: &[Field]) -> SchemaRef {
    let first = vec![text("key", true), Field::new("image", DataType::Struct(image_fields()), true)];
    with_captions(first, passthrough)
}

/// Columns of a Parquet file without images: the row's key, its input file and number, and the name of its
/// image in a tar or folder, by which the user joins the captions with the images.
pub fn captions_schema(passthrough: &[Field]) -> SchemaRef {
    let row = Field::new("row", DataType::UInt64, true);
    with_captions(vec![text("key", true), text("file", true), row, text("member", true)], passthrough)
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn with_captions(first: Vec<Field>, passthrough: &[Field]) -> SchemaRef {
    let mut fields = first;
    fields.extend([
        text("caption", false),
        text("source", false),
        Field::new("itm", DataType::Float32, true),
        Field::new("cosine", DataType::Float32, true),
        Field::new("captions", DataType::List(caption_item()), false),
        text("url", true),
        Field::new("width", DataType::UInt32, false),
        Field::new("height", DataType::UInt32, false),
    ]);
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
