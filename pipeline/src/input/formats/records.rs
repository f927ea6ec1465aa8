//! Samples of a table of records: JSON Lines or CSV with a column that names images.

use crate::input::{
    ReadError,
    images::{ImageCell, beside_metadata},
    samples::{
        draft::Draft,
        places::{Place, Places},
    },
};
use capfilt_schemas::plan::{RecordFormat, Shard};
use capfilt_store::{
    Location, PinnedObject,
    records::{Record, RecordStream, csv_values, without_mark},
};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Bytes of the file that are read at once; as many are read ahead.
const PIECE_BYTES: u64 = 1 << 20;

/// Bytes that are read at once for the header of a CSV file.
const HEADER_BYTES: u64 = 64 << 10;

/// Bytes of the records that are returned at once, unless a single record is larger.
const RECORDS_BYTES: u64 = 64 << 20;

/// The rows of a shard of a table of records.
///
/// Memory: two pieces of the file, and the returned records.
pub(in crate::input) struct RecordSamples {
    object: PinnedObject,
    stream: RecordStream,
    format: RecordFormat,
    places: Arc<Places>,
    file: String,
    /// Columns of a file of separated values; `None` before they are read.
    header: Option<Vec<String>>,
}

impl RecordSamples {
    /// Opens the shard's file; nothing is read.
    pub fn open(input: &Location, shard: &Shard, format: RecordFormat, places: Arc<Places>) -> Self {
        let object = PinnedObject::new(input, &shard.file);
        let stream = RecordStream::new(object.clone(), shard.part.range(), format, PIECE_BYTES);
        Self { object, stream, format, places, file: shard.file.path.clone(), header: None }
    }

    /// The next rows, at most `most`; none after the last. Their images are read by the caller.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Draft>, ReadError> {
        let file = self.file.clone();
        let fail = |source| ReadError::Store { file: file.clone(), source: Box::new(source) };
        if let (Some(separator), None) = (self.format.separator(), &self.header) {
            let range = 0..self.object.bytes;
            let mut stream = RecordStream::new(self.object.clone(), range, self.format, HEADER_BYTES);
            let header = stream.next().await.map_err(fail)?;
            let names = header.map(|header| texts(csv_values(&header.bytes, separator)));
            self.header = Some(names.unwrap_or_default());
        }
        let (mut drafts, mut bytes) = (Vec::new(), 0);
        while drafts.len() < most && bytes < RECORDS_BYTES {
            let Some(record) = self.stream.next().await.map_err(fail)? else { break };
            bytes += record.bytes.len() as u64;
            drafts.push(self.draft(&record));
        }
        Ok(drafts)
    }

    fn draft(&self, record: &Record) -> Draft {
        let (mut notes, bytes) = (Vec::new(), record.bytes.len() as u64);
        let fields = match (&self.header, self.format.separator()) {
            _ if record.is_cut => Err("has more than 16 MiB".to_owned()),
            (Some(header), Some(separator)) => {
                Ok(fields_of_csv(header, csv_values(&record.bytes, separator), &mut notes))
            }
            _ => fields_of_json(&record.bytes),
        };
        match fields {
            Ok(fields) => {
                let mut draft = Draft::of_record(fields, bytes);
                notes.into_iter().for_each(|note| draft.note(note));
                self.name(&mut draft);
                draft
            }
            Err(why) => {
                let mut draft = Draft::default();
                draft.cannot_be_read(format!("the record at byte {} {why}", record.at));
                draft
            }
        }
    }

    /// Gives a row its key, which is the name of its image unless a column has it, and its image.
    fn name(&self, draft: &mut Draft) {
        let image = draft.image(self.places.named.as_ref());
        let key = draft.string(&Place::of("key")).ok().flatten();
        if let ImageCell::Path(path) = image {
            draft.set_key(key.unwrap_or_else(|| path.clone()));
            let member = path.clone();
            draft.keep_image(0, ImageCell::Path(beside_metadata(&self.file, path)), member);
        } else if let Some(key) = key {
            draft.set_key(key);
        }
    }
}

fn texts(values: Vec<Vec<u8>>) -> Vec<String> {
    values.into_iter().map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
}

fn fields_of_json(line: &[u8]) -> Result<Map<String, Value>, String> {
    match serde_json::from_slice(without_mark(line)) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("is not a JSON object".to_owned()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// Fields of a record; an empty value is null, as in pandas.
fn fields_of_csv(header: &[String], values: Vec<Vec<u8>>, notes: &mut Vec<String>) -> Map<String, Value> {
    if values.len() > header.len() {
        let (values, columns) = (values.len(), header.len());
        notes
            .push(format!("the record has {values} values, the header {columns}; the last ones are ignored"));
    }
    let mut fields = Map::new();
    for (column, value) in header.iter().zip(values) {
        match String::from_utf8(value) {
            Ok(value) if value.is_empty() => {}
            Ok(value) => drop(fields.insert(column.clone(), Value::String(value))),
            Err(_) => notes.push(format!("`{column}` is not UTF-8 and counts as null")),
        }
    }
    fields
}
