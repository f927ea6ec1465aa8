//! The quarantine: rows that could not be processed, with bytes and reason, for a later repetition.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::{collections::HashMap, sync::Arc};

/// Version of the quarantine's columns.
pub const VERSION: u32 = 1;

/// Columns of `quarantine.parquet`, in input order.
pub fn schema() -> SchemaRef {
    let metadata = HashMap::from([("capfilt.quarantine.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(
        vec![
            Field::new("key", DataType::Utf8, true),
            Field::new("file", DataType::Utf8, false),
            Field::new("row", DataType::UInt64, false),
            Field::new("status", DataType::Utf8, false),
            Field::new("detail", DataType::Utf8, true),
            Field::new("image", DataType::LargeBinary, true),
            Field::new("web_text", DataType::LargeBinary, true),
        ],
        metadata,
    ))
}
