//! The pairs: kept texts, one row per image with at least one kept text, ready for training.

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use std::{collections::HashMap, sync::Arc};

/// Version of the pairs' columns and of their meaning.
pub const VERSION: u32 = 1;

/// Source of a kept text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Web,
    Synthetic,
}

impl Source {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Synthetic => "synthetic",
        }
    }

    /// Parses a source; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Web, Self::Synthetic].into_iter().find(|source| source.as_str() == text)
    }
}

/// Columns of `pairs.parquet`: capfilt's, then the job's pass-through columns, unchanged.
///
/// `image` is Hugging Face's image struct, so that `datasets` shows it as an image (according to the
/// `huggingface` metadata). Its Arrow type must therefore be exactly theirs, nullable and with 32-bit
/// offsets, although no image is ever null.
pub fn schema(passthrough: &[Field]) -> SchemaRef {
    let image = DataType::Struct(image_fields());
    let mut fields = vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("image", image, true),
        Field::new("captions", DataType::List(caption_item()), false),
        Field::new("width", DataType::UInt32, false),
        Field::new("height", DataType::UInt32, false),
    ];
    fields.extend(passthrough.iter().cloned());
    let metadata = HashMap::from([("capfilt.pairs.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(fields, metadata))
}

/// Fields of an image: `bytes` has the input's unchanged bytes, and `path` the input's path. With
/// `output.images = "reference"`, `bytes` is null and `path` points at the bytes: an object below the input's
/// URL, or `file#row` of the input's Parquet.
pub fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

/// The list item of column `captions`.
pub fn caption_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(caption_fields()), false))
}

/// Fields of one kept text; `itm` is P(match).
pub fn caption_fields() -> Fields {
    Fields::from(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("itm", DataType::Float32, false),
    ])
}
