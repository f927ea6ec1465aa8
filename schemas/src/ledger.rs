//! The ledger: one row per input row, kept or not, so that another threshold needs no GPU.

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use std::{collections::HashMap, sync::Arc};

use crate::status::{RowStatus, WebStatus};

/// Version of the ledger's columns and of their meaning.
pub const VERSION: u32 = 1;

/// One row of `ledger.parquet`.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The input's key of the row, as text; null without a key.
    pub key: Option<String>,
    /// Address: path of the file below the input's URL.
    pub file: String,
    /// Address: number of the row within the file, from 0.
    pub row: u64,
    /// Digest of the image's bytes; null without bytes.
    pub image_sha256: Option<[u8; 32]>,
    /// Size in pixels as stored in the file (before resizing); null if the image was not decoded.
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub status: RowStatus,
    /// The unchanged web text.
    pub web_text: Option<String>,
    pub web_status: WebStatus,
    pub web_score: Option<Scored>,
    pub synthetic: Vec<SyntheticText>,
    /// P(match) of this image and the text of another row: the negative control.
    pub control_itm: Option<f32>,
    /// For people: the reason why the row was not judged, and the cells that could not be read and count as
    /// null.
    pub detail: Option<String>,
}

/// Scores and verdict of one text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scored {
    /// P(match), 0 to 1.
    pub itm: f32,
    /// Cosine, −1 to 1.
    pub itc: f32,
    pub kept: bool,
}

/// A generated caption with its scores; `None` if the caption is empty and cannot be judged.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticText {
    pub text: String,
    pub scored: Option<Scored>,
}

impl LedgerRow {
    /// Whether the row keeps a text.
    pub fn keeps_a_text(&self) -> bool {
        self.web_score.is_some_and(|s| s.kept)
            || self.synthetic.iter().any(|s| s.scored.is_some_and(|s| s.kept))
    }
}

/// Columns of `ledger.parquet`, in input order.
pub fn schema() -> SchemaRef {
    let nullable = |name: &str, kind: DataType| Field::new(name, kind, true);
    let required = |name: &str, kind: DataType| Field::new(name, kind, false);
    let metadata = HashMap::from([("capfilt.ledger.version".to_owned(), VERSION.to_string())]);
    Arc::new(Schema::new_with_metadata(
        vec![
            nullable("key", DataType::Utf8),
            required("file", DataType::Utf8),
            required("row", DataType::UInt64),
            nullable("image_sha256", DataType::Utf8),
            nullable("width", DataType::UInt32),
            nullable("height", DataType::UInt32),
            required("status", DataType::Utf8),
            nullable("web_text", DataType::Utf8),
            required("web_status", DataType::Utf8),
            nullable("web_itm", DataType::Float32),
            nullable("web_itc", DataType::Float32),
            nullable("web_kept", DataType::Boolean),
            required("synthetic", DataType::List(synthetic_item())),
            nullable("control_itm", DataType::Float32),
            nullable("detail", DataType::Utf8),
        ],
        metadata,
    ))
}

/// The list item of column `synthetic`.
pub fn synthetic_item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Struct(synthetic_fields()), false))
}

/// Fields of one generated caption.
pub fn synthetic_fields() -> Fields {
    Fields::from(vec![
        Field::new("text", DataType::Utf8, false),
        Field::new("itm", DataType::Float32, true),
        Field::new("itc", DataType::Float32, true),
        Field::new("kept", DataType::Boolean, false),
    ])
}
