//! Writer and reader of the pairs' columns.

use crate::{noise::Kind, scene::Scene, source::Pairs};
use arrow::{
    array::{
        ArrayRef, AsArray as _, BinaryArray, BinaryBuilder, BooleanArray, Int32Array, ListBuilder,
        RecordBatch, StringArray, StringBuilder,
    },
    datatypes::{DataType, Field, Schema, SchemaRef},
    error::ArrowError,
};
use parquet::{
    arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
    schema::types::ColumnPath,
};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// One pair, one question, or one statement.
#[derive(Debug)]
pub(crate) struct Row {
    pub key: String,
    /// The encoded picture, the left one of a statement, or the encoded frames of the clip.
    pub jpgs: Arc<[Vec<u8>]>,
    /// The text, the question, or the statement.
    pub caption: String,
    /// Answer to a question.
    pub answer: Option<String>,
    pub url: String,
    pub kind: Kind,
    /// The scene's JSON.
    pub scene: String,
    /// The second picture of a statement; its truth is the kind.
    pub second: Option<Second>,
}

/// The right picture of a statement.
#[derive(Debug)]
pub(crate) struct Second {
    pub jpg: Vec<u8>,
    /// The scene's JSON.
    pub scene: String,
    /// Form of the statement.
    pub form: &'static str,
}

const PAIRS: [&str; 9] = ["key", "jpg", "caption", "url", "width", "height", "status", "truth", "scene"];
const QUESTIONS: [&str; 9] =
    ["key", "jpg", "question", "answers", "url", "width", "height", "status", "scene"];

/// Column of a clip, in the place of the picture.
const FRAMES: &str = "frames";

const STATEMENTS: [&str; 11] =
    ["key", "jpg", "jpg2", "statement", "label", "url", "width", "height", "form", "scene", "scene2"];

pub(crate) fn schema(source: Pairs) -> SchemaRef {
    let names = match source {
        Pairs::Statements => STATEMENTS.as_slice(),
        _ if source.is_questions() => QUESTIONS.as_slice(),
        _ => PAIRS.as_slice(),
    };
    let names = names.iter().map(|name| if *name == "jpg" && source.is_clips() { FRAMES } else { *name });
    let kind = |name: &str| match name {
        "jpg" | "jpg2" => DataType::Binary,
        FRAMES => DataType::new_list(DataType::Binary, true),
        "label" => DataType::Boolean,
        "width" | "height" => DataType::Int32,
        "answers" => DataType::new_list(DataType::Utf8, true),
        _ => DataType::Utf8,
    };
    let fields = names.map(|name| Field::new(name, kind(name), false));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

pub(crate) fn properties() -> WriterProperties {
    // JPEG does not compress further, and statistics of its first bytes are useless.
    let frames = ColumnPath::from(vec![FRAMES.to_owned(), "list".into(), "item".into()]);
    let builder = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None);
    let plain = |builder: WriterPropertiesBuilder, column: ColumnPath| {
        let builder = builder.set_column_compression(column.clone(), Compression::UNCOMPRESSED);
        builder.set_column_dictionary_enabled(column, false)
    };
    [ColumnPath::from("jpg"), "jpg2".into(), frames].into_iter().fold(builder, plain).build()
}

pub(crate) fn batch(rows: &[Row], source: Pairs, side: u16) -> Result<RecordBatch, ArrowError> {
    let schema = schema(source);
    let texts =
        |of: fn(&Row) -> &str| Arc::new(StringArray::from_iter_values(rows.iter().map(of))) as ArrayRef;
    let column = |name: &str| match name {
        "key" => texts(|row| &row.key),
        "jpg" => Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| &row.jpgs[0]))) as ArrayRef,
        "jpg2" => Arc::new(BinaryArray::from_iter_values(seconds(rows).map(|second| &second.jpg))),
        FRAMES => frames(rows),
        "caption" | "question" | "statement" => texts(|row| &row.caption),
        "label" => Arc::new(BooleanArray::from_iter(rows.iter().map(|row| Some(row.kind == Kind::True)))),
        "form" => Arc::new(StringArray::from_iter_values(seconds(rows).map(|second| second.form))),
        "scene2" => Arc::new(StringArray::from_iter_values(seconds(rows).map(|second| &second.scene))),
        "answers" => answers(rows),
        "url" => texts(|row| &row.url),
        "width" | "height" => Arc::new(Int32Array::from(vec![i32::from(side); rows.len()])),
        "status" => texts(|_| "success"),
        "truth" => texts(|row| row.kind.name()),
        _ => texts(|row| &row.scene),
    };
    let columns = schema.fields().iter().map(|field| column(field.name())).collect();
    RecordBatch::try_new(schema, columns)
}

/// Encoded frames of each clip.
fn frames(rows: &[Row]) -> ArrayRef {
    let mut lists = ListBuilder::new(BinaryBuilder::new());
    for row in rows {
        lists.append_value(row.jpgs.iter().map(Some));
    }
    Arc::new(lists.finish())
}

/// The right pictures of statements.
fn seconds(rows: &[Row]) -> impl Iterator<Item = &Second> {
    rows.iter().filter_map(|row| row.second.as_ref())
}

/// Lists of one answer each.
fn answers(rows: &[Row]) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in rows {
        lists.append_value(row.answer.iter().map(Some));
    }
    Arc::new(lists.finish())
}

/// Known truth of one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// Kind of the web text.
    pub kind: Kind,
    /// Scene of the image.
    pub scene: Scene,
}

/// A file that `capfilt demo` did not write.
#[derive(Debug, thiserror::Error)]
#[error("cannot read what is true in {path}: {reason}; was it written by `capfilt demo --make-data`?")]
pub struct KnownError {
    path: String,
    reason: String,
}

/// A folder that cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {}", path.display())]
pub struct ListError {
    path: PathBuf,
    source: io::Error,
}

/// Lists the named files, and the Parquet files in named folders.
///
/// # Errors
/// A folder that cannot be listed.
pub fn parquet_files(input: &[PathBuf]) -> Result<Vec<PathBuf>, ListError> {
    let mut files = Vec::new();
    for path in input {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = path.read_dir().map_err(|source| ListError { path: path.clone(), source })?;
        let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// Known truth of a file's pairs, by key. Memory: about 200 bytes per row.
///
/// # Errors
/// The file cannot be read, or `capfilt demo` did not write it.
pub fn known(path: &Path) -> Result<Vec<(String, Known)>, KnownError> {
    let fail = |reason: String| KnownError { path: path.display().to_string(), reason };
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|error| fail(error.to_string()))?;
    let wanted = ["key", "truth", "scene"];
    for name in wanted {
        let field =
            builder.schema().field_with_name(name).map_err(|_| fail(format!("it has no column `{name}`")))?;
        if field.data_type() != &DataType::Utf8 {
            return Err(fail(format!("its column `{name}` is {}, not Utf8", field.data_type())));
        }
    }
    let mask = ProjectionMask::columns(builder.parquet_schema(), wanted);
    let reader = builder.with_projection(mask).build().map_err(|error| fail(error.to_string()))?;
    let mut all = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|error| fail(error.to_string()))?;
        for i in 0..batch.num_rows() {
            all.push(row(&batch, i).map_err(fail)?);
        }
    }
    Ok(all)
}

fn row(batch: &RecordBatch, i: usize) -> Result<(String, Known), String> {
    let text = |name: &str| {
        let column = batch.column_by_name(name).map(|column| column.as_string::<i32>());
        column.map(|column| column.value(i)).ok_or_else(|| format!("it has no column `{name}`"))
    };
    let (key, kind) = (text("key")?, text("truth")?);
    let kind = Kind::parse(kind).ok_or_else(|| format!("row {key} is of kind `{kind}`"))?;
    let scene = Scene::parse(text("scene")?).map_err(|error| format!("row {key}: {error}"))?;
    Ok((key.to_owned(), Known { kind, scene }))
}
