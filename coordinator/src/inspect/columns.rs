//! Columns of one input file: those of a Parquet schema, or the members and keys of the first samples.

use crate::plan::{PlanError, footer, of_file};
use arrow::datatypes::DataType;
use capfilt_schemas::plan::{IMAGE_SUFFIXES, InputFile, InputFormat, RecordFormat};
use capfilt_store::{
    Location, PinnedObject, StoreError,
    image_folder::ImageFolder,
    records::{RecordStream, csv_values, without_mark},
    tar::{TarItem, TarStream},
};
use serde_json::{Map, Value};

/// Samples and records that are read.
const SAMPLES: usize = 32;

/// Bytes of a tar or a table that are read at a time.
const PIECE_BYTES: u64 = 256 << 10;

/// Largest JSON member that is parsed.
const OBJECT_BYTES: u64 = 1 << 20;

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

/// Columns of a file. The inner error is the reason why the file cannot be read.
pub(super) async fn of(input: &Location, file: &InputFile) -> Result<Result<Vec<Column>, String>, PlanError> {
    match InputFormat::of(&file.path) {
        InputFormat::Parquet => {
            let contents = footer::read(input, file).await?;
            Ok(contents
                .map(|contents| contents.schema.fields().iter().map(|field| of_field(field)).collect()))
        }
        InputFormat::Tar | InputFormat::TarGz => of_file(file, tar(input, file).await),
        InputFormat::Records(format) => of_file(file, records(input, file, format).await.map(Ok)),
        InputFormat::ImageFolder => of_file(file, folder(input, file).await.map(Ok)),
    }
}

fn of_field(field: &arrow::datatypes::Field) -> Column {
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

/// Columns in the order in which they are found.
#[derive(Default)]
struct Columns(Vec<Column>);

impl Columns {
    fn add(&mut self, name: &str, kind: Kind) {
        if !self.0.iter().any(|column| column.name == name) {
            self.0.push(Column { name: name.to_owned(), kind });
        }
    }

    fn add_fields(&mut self, fields: &Map<String, Value>) {
        for (name, value) in fields {
            self.add(name, of_value(value));
        }
    }
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

async fn tar(input: &Location, file: &InputFile) -> Result<Result<Vec<Column>, String>, StoreError> {
    let object = PinnedObject::new(input, file);
    let mut stream = match InputFormat::of(&file.path) {
        InputFormat::TarGz => TarStream::of_gzip(object, PIECE_BYTES),
        _ => TarStream::of_object(object, 0..file.bytes, PIECE_BYTES),
    };
    let (mut columns, mut samples) = (Columns::default(), 0);
    while let Some(item) = stream.next().await? {
        let member = match item {
            TarItem::Member(member) => member,
            TarItem::Damage { why, .. } if samples == 0 => return Ok(Err(format!("not a tar: {why}"))),
            TarItem::Damage { .. } => break,
        };
        samples += usize::from(member.is_first);
        if samples > SAMPLES {
            break;
        }
        columns.add(&member.suffix, of_suffix(&member.suffix));
        if member.suffix == "json" && member.bytes <= OBJECT_BYTES {
            let text = stream.read(OBJECT_BYTES).await?;
            if let Ok(Value::Object(fields)) = serde_json::from_slice(&text) {
                columns.add_fields(&fields);
            }
        }
    }
    Ok(Ok(columns.0))
}

fn of_suffix(suffix: &str) -> Kind {
    match suffix {
        suffix if IMAGE_SUFFIXES.contains(&suffix) => Kind::Image,
        "txt" | "caption" | "text" => Kind::Text,
        _ => Kind::Other,
    }
}

async fn records(
    input: &Location,
    file: &InputFile,
    format: RecordFormat,
) -> Result<Vec<Column>, StoreError> {
    let object = PinnedObject::new(input, file);
    let mut stream = RecordStream::new(object, 0..file.bytes, format, PIECE_BYTES);
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    let (mut columns, mut header): (_, Option<Vec<String>>) = (Columns::default(), None);
    for _ in 0..SAMPLES {
        let Some(record) = stream.next().await? else { break };
        let Some(separator) = format.separator() else {
            if let Ok(Value::Object(fields)) = serde_json::from_slice(without_mark(&record.bytes)) {
                columns.add_fields(&fields);
            }
            continue;
        };
        let values = csv_values(&record.bytes, separator).into_iter().map(text);
        match &header {
            None => header = Some(values.collect()),
            Some(header) => {
                for (name, value) in header.iter().zip(values) {
                    columns.add(name, of_text(&value));
                }
            }
        }
    }
    Ok(columns.0)
}

fn of_text(value: &str) -> Kind {
    match value {
        link if is_link(link) => Kind::Link,
        number if number.parse::<f64>().is_ok() => Kind::Number,
        _ => Kind::Text,
    }
}

async fn folder(input: &Location, file: &InputFile) -> Result<Vec<Column>, StoreError> {
    let folder = ImageFolder::planned(input, file).await?;
    let mut columns = Columns::default();
    columns.add("jpg", Kind::Image);
    for (suffix, _) in folder.images.iter().take(SAMPLES).flat_map(|image| &image.beside) {
        columns.add(suffix, of_suffix(suffix));
    }
    Ok(columns.0)
}
