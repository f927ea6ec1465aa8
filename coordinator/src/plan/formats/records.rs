//! Plans a table of records: counts the records of a JSON Lines or CSV file and finds where shards begin. The
//! plan reads the whole file, because records have no index; images are not read.

use super::columns::{self, Column, Columns, SAMPLES, of_text};
use crate::plan::{
    PlanError,
    contents::{Contents, EMPTY, Unit, of_file},
};
use arrow::datatypes::{FieldRef, Schema};
use capfilt_schemas::{
    plan::{InputFile, Part, RecordFormat},
    record_columns,
};
use capfilt_store::{
    Location, PinnedObject, StoreError,
    records::{Record, RecordStream, csv_values, without_mark},
};
use serde_json::Value;

/// Bytes that are read at a time.
const PIECE_BYTES: u64 = 4 << 20;

/// Bytes of records from which on a shard ends, also with fewer rows than are wanted.
const UNIT_BYTES: u64 = 64 << 20;

/// Files over this size get a sentence about the cost of planning.
const COST_BYTES: u64 = 256 << 20;

/// Reads what the plan needs of a table of records. The columns are those of the CSV file's header; a JSON
/// Lines file has any column, with the types in `schema`. The inner error is the reason why the file is
/// refused.
pub async fn read(
    input: &Location,
    file: &InputFile,
    format: RecordFormat,
    schema: Schema,
    rows_wanted: u64,
) -> Result<Result<Contents, String>, PlanError> {
    if file.bytes == 0 {
        return Ok(Err(EMPTY.to_owned()));
    }
    let object = PinnedObject::new(input, file);
    let stream = RecordStream::new(object, 0..file.bytes, format, PIECE_BYTES);
    let walked = walk(stream, file.bytes, format, rows_wanted).await;
    let contents = |walked: Walked| {
        let schema = match &walked.header {
            Some(header) => with_columns(&schema, header),
            None => schema,
        };
        let warnings = walked.warning(file).into_iter().collect();
        Contents { schema, encrypted: Vec::new(), units: walked.units, rows_exact: true, warnings }
    };
    Ok(of_file(file, walked)?.map(contents))
}

#[derive(Default)]
struct Walked {
    header: Option<Vec<String>>,
    units: Vec<Unit>,
}

impl Walked {
    fn warning(&self, file: &InputFile) -> Option<String> {
        (file.bytes > COST_BYTES).then(|| {
            let megabytes = file.bytes / 1_000_000;
            format!("{}: the plan read all of its {megabytes} MB to find its records", file.path)
        })
    }
}

async fn walk(
    mut stream: RecordStream,
    file_bytes: u64,
    format: RecordFormat,
    rows_wanted: u64,
) -> Result<Result<Walked, String>, StoreError> {
    let mut walked = Walked::default();
    let (mut start, mut rows) = (0, 0);
    let unit = |start: u64, end: u64, rows| Unit { part: Part::Bytes(start..end), rows, bytes: end - start };
    let mut is_first = true;
    while let Some(record) = stream.next().await? {
        if std::mem::take(&mut is_first) {
            match format.separator() {
                Some(separator) => {
                    walked.header = Some(match header(&record, separator) {
                        Ok(header) => header,
                        Err(why) => return Ok(Err(why)),
                    });
                    start = record.at + record.bytes.len() as u64;
                    continue;
                }
                None if !looks_like_an_object(&record) => {
                    let why = "not readable as JSON Lines: its first line is not a JSON object";
                    return Ok(Err(why.to_owned()));
                }
                None => {}
            }
        }
        if rows >= rows_wanted || (rows > 0 && record.at - start >= UNIT_BYTES) {
            walked.units.push(unit(start, record.at, rows));
            (start, rows) = (record.at, 0);
        }
        rows += 1;
    }
    if rows > 0 {
        walked.units.push(unit(start, file_bytes, rows));
    }
    Ok(Ok(walked))
}

fn header(record: &Record, separator: u8) -> Result<Vec<String>, String> {
    if record.is_cut {
        return Err("not readable as CSV: its header has more than 16 MiB".to_owned());
    }
    let values = csv_values(&record.bytes, separator).into_iter().map(String::from_utf8);
    values.collect::<Result<_, _>>().map_err(|_| "not readable as CSV: its header is not UTF-8".to_owned())
}

/// Whether the first line of a file is that of a table; a bad later line costs itself.
fn looks_like_an_object(record: &Record) -> bool {
    let bytes = without_mark(&record.bytes);
    bytes.trim_ascii_start().starts_with(b"{")
}

/// The columns of a schema that a header has. The default column of images is read from columns with other
/// names too.
fn with_columns(schema: &Schema, header: &[String]) -> Schema {
    let is_there = |field: &&FieldRef| {
        let names = record_columns(field.name());
        names.iter().any(|name| header.iter().any(|column| column == name))
    };
    Schema::new(schema.fields().iter().filter(is_there).cloned().collect::<Vec<_>>())
}

/// Columns of the first records. The inner error is the reason why the file cannot be read.
pub async fn columns(
    input: &Location,
    file: &InputFile,
    format: RecordFormat,
) -> Result<Result<Vec<Column>, String>, PlanError> {
    of_file(file, first_columns(input, file, format).await.map(Ok))
}

async fn first_columns(
    input: &Location,
    file: &InputFile,
    format: RecordFormat,
) -> Result<Vec<Column>, StoreError> {
    let object = PinnedObject::new(input, file);
    let mut stream = RecordStream::new(object, 0..file.bytes, format, columns::PIECE_BYTES);
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
