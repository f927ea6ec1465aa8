//! The pairs: what was kept, one row per image with at least one kept text, ready for training.

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use std::{collections::HashMap, sync::Arc};

/// Version of the pairs' columns and of their meaning.
pub const VERSION: u32 = 1;

/// Where a kept text comes from.
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

    /// The source that is written so; `None` when no source is.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Web, Self::Synthetic].into_iter().find(|source| source.as_str() == text)
    }
}

/// Columns of `pairs.parquet`: ours, then the input's columns that the job passes through, as they are.
///
/// `image` is Hugging Face's image struct, so `datasets` shows it as an image (the `huggingface` metadata
/// says so). For that its Arrow type must be theirs to the letter, nullable and with 32-bit offsets, though
/// no image is ever null.
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

/// `bytes` are the input's bytes untouched, and `path` is what the input says of them. With `output.images =
/// "reference"` there are no bytes, and `path` points at them: an object below the input's URL, or `file#row`
/// of the input's Parquet.
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
