//! Columns of an input file before a job has settings: those of a schema, or the members and keys of the
//! first samples.

use arrow::datatypes::{DataType, Field};
use capfilt_schemas::plan::IMAGE_SUFFIXES;
use serde_json::{Map, Value};

/// Samples and records that are read.
pub(super) const SAMPLES: usize = 32;

/// Bytes of a tar or a table that are read at a time.
pub(super) const PIECE_BYTES: u64 = 256 << 10;

/// A column of an input file; of a tar or a folder, a member or a key of `.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name by which the settings find the column.
    pub name: String,
    /// Kind of its values.
    pub kind: Kind,
}

/// Kind of a column's values, as far as it decides what the column may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes, or a struct with bytes and path.
    Image,
    /// Text, or a list of texts.
    Text,
    /// Text that is an http(s) URL in the rows that were read.
    Link,
    /// A number.
    Number,
    /// Any other type.
    Other,
}

impl Kind {
    /// Name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
            Self::Link => "link",
            Self::Number => "number",
            Self::Other => "other",
        }
    }
}

/// Columns in the order in which they are found.
#[derive(Default)]
pub(super) struct Columns(pub Vec<Column>);

impl Columns {
    pub fn add(&mut self, name: &str, kind: Kind) {
        if !self.0.iter().any(|column| column.name == name) {
            self.0.push(Column { name: name.to_owned(), kind });
        }
    }

    pub fn add_fields(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            self.add(name, of_value(value));
        }
    }
}

/// A column of a schema.
pub(super) fn of_field(field: &Field) -> Column {
    let name = field.name().clone();
    let kind = match field.data_type() {
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Kind::Image,
        DataType::Struct(fields) if fields.find("bytes").is_some() => Kind::Image,
        kind if is_text(kind) => match is_link_name(&name) {
            true => Kind::Link,
            false => Kind::Text,
        },
        DataType::List(item) | DataType::LargeList(item) if is_text(item.data_type()) => Kind::Text,
        kind if kind.is_numeric() => Kind::Number,
        _ => Kind::Other,
    };
    Column { name, kind }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether a name is that of a column of links. A footer has no values.
fn is_link_name(name: &str) -> bool {
    let name = name.to_lowercase();
    name == "link" || name.contains("url") || name.contains("uri")
}

fn of_value(value: &Value) -> Kind {
    match value {
        Value::String(text) if is_link(text) => Kind::Link,
        Value::String(_) => Kind::Text,
        Value::Array(items) if items.iter().all(Value::is_string) && !items.is_empty() => Kind::Text,
        Value::Number(_) => Kind::Number,
        _ => Kind::Other,
    }
}

fn is_link(text: &str) -> bool {
    text.starts_with("http://") || text.starts_with("https://")
}

/// Kind of the members of a sample with this suffix.
pub(super) fn of_suffix(suffix: &str) -> Kind {
    match suffix {
        suffix if IMAGE_SUFFIXES.contains(&suffix) => Kind::Image,
        "txt" | "caption" | "text" => Kind::Text,
        _ => Kind::Other,
    }
}

/// Kind of a value that a table has as text.
pub(super) fn of_text(value: &str) -> Kind {
    match value {
        link if is_link(link) => Kind::Link,
        number if number.parse::<f64>().is_ok() => Kind::Number,
        _ => Kind::Text,
    }
}
