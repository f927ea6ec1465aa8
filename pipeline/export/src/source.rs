//! Rows of all sources, as pairs.

use super::{ExportError, caption::Caption, kinds};
use arrow::array::RecordBatch;
use bytes::Bytes;
use capfilt_pipeline::{
    cleaned::{CleanedReader, ShardTables, Wanted},
    input::{CleanedRow, ImageInput, InputColumns, Judged, KeptText, ReadError, Sample, ShardReader},
};
use capfilt_schemas::{
    export::{self, CutSource, Origin},
    manifest::Manifest,
    plan::{InputFile, Shard},
    settings::training_data::Texts,
};
use capfilt_store::{Location, PinnedObject, without_secrets};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use parquet::arrow::{async_reader::AsyncFileReader as _, parquet_to_arrow_schema};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are decoded from Parquet at once.
const ROWS_AT_ONCE: usize = 128;

/// Footers that are read concurrently.
const FOOTERS_AT_ONCE: usize = 16;

/// One source of pairs.
pub struct Source {
    /// Description for the record.
    pub record: export::Source,
    /// Location of the job or of the tables.
    pub place: Location,
    /// Kind of the tables.
    pub content: Content,
}

/// Content of a source.
pub enum Content {
    /// Files of human-written pairs, and which of the requested columns each file has.
    Human {
        /// Row groups of the files.
        shards: Vec<Shard>,
        /// Columns of image, text and key.
        columns: Box<InputColumns>,
        /// Requested columns that a file has, by the file's path.
        passthrough: BTreeMap<String, Vec<String>>,
    },
    /// Tables of a finished job, and which of the texts are requested.
    Job {
        /// Tables of the job's shards.
        tables: Vec<ShardTables>,
        /// Which texts of an image are exported.
        texts: Texts,
        /// Images and cosines that the export needs.
        wanted: Wanted,
        /// Pass-through columns of the job.
        passthrough: Vec<String>,
    },
}

/// A row group of a file, or a shard of a job.
pub(crate) struct Part {
    pub rows: u64,
    /// Compressed bytes, about those of the images.
    pub bytes: u64,
    /// Upper bound of its texts.
    pub texts: u64,
}

/// Planned files of human pairs.
pub struct HumanFiles {
    /// Location of the files.
    pub place: Location,
    /// Identity of the location, for the record.
    pub identity: String,
    /// Digest of the files in their current versions, and of the condition of their rows.
    pub version: String,
    /// Row groups of the files.
    pub shards: Vec<Shard>,
    /// Columns to read.
    pub columns: InputColumns,
}

impl Source {
    /// A source of human pairs. `key` is the key's column and `licence` the licence's, if they were
    /// requested.
    ///
    /// # Errors
    /// No file has a requested column, or the store fails.
    pub async fn human(
        files: HumanFiles,
        asked: export::Columns,
        key: Option<&str>,
        licence: Option<&str>,
    ) -> Result<Self, ExportError> {
        let HumanFiles { place, identity, version, shards, columns } = files;
        let passthrough = inspect(&place, &shards, &asked.passthrough, key, licence).await?;
        let record = export::Source::Human { url: identity, version, columns: asked };
        Ok(Self {
            record,
            place,
            content: Content::Human { shards, columns: Box::new(columns), passthrough },
        })
    }

    /// A finished job with `manifest`, or a cut of it, of which `texts` are requested, and its pass-through
    /// columns.
    pub fn job(
        place: Location,
        identity: String,
        (manifest, cut): (Manifest, Option<CutSource>),
        tables: Vec<ShardTables>,
        (texts, passthrough): (Texts, Vec<String>),
        wanted: Wanted,
    ) -> Self {
        let Manifest { n, digest, quarantined, .. } = manifest;
        let record = export::Source::Job { url: identity, manifest: n, digest, cut, texts, quarantined };
        Self { record, place, content: Content::Job { tables, texts, wanted, passthrough } }
    }

    /// Whether a column of the input passes through, in at least one file.
    pub(crate) fn passes(&self, column: &str) -> bool {
        match &self.content {
            Content::Human { passthrough, .. } => {
                passthrough.values().flatten().any(|passed| passed == column)
            }
            Content::Job { passthrough, .. } => passthrough.iter().any(|passed| passed == column),
        }
    }

    pub(crate) fn parts(&self) -> Vec<Part> {
        match &self.content {
            Content::Human { shards, .. } => shards
                .iter()
                .map(|shard| Part { rows: shard.rows, bytes: shard.bytes, texts: shard.rows })
                .collect(),
            Content::Job { tables, .. } => {
                let part = |of: &ShardTables| {
                    let bytes =
                        of.pairs.bytes.max(of.shard.bytes.min(of.pairs.rows * MOST_BYTES_A_REFERENCE));
                    Part { rows: of.pairs.rows, bytes, texts: of.pairs.rows * 2 }
                };
                tables.iter().map(part).collect()
            }
        }
    }

    /// Opens one of the parts.
    pub(crate) async fn open(&self, part: usize) -> Result<Reader, ReadError> {
        Ok(match &self.content {
            Content::Human { shards, columns, passthrough } => {
                let shard = &shards[part];
                let there = passthrough.get(&shard.file.path).cloned().unwrap_or_default();
                let columns = InputColumns { passthrough: there, ..InputColumns::clone(columns) };
                let reader = ShardReader::open(&self.place, shard, columns, ROWS_AT_ONCE).await?;
                Reader::Human { file: shard.file.path.clone(), reader: Box::new(reader) }
            }
            Content::Job { tables, texts, wanted, .. } => {
                let reader = CleanedReader::open(&self.place, &tables[part], wanted).await?;
                Reader::Job {
                    file: tables[part].pairs.path.clone(),
                    reader: Box::new(reader),
                    texts: *texts,
                    row: 0,
                }
            }
        })
    }
}

/// Bytes per reference of a shard of a job that keeps images by reference: a shard has at most its input's
/// bytes, of which the job may have kept only some.
const MOST_BYTES_A_REFERENCE: u64 = 1 << 20;

/// Content of a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub file: String,
    pub row: u64,
    pub key: Option<String>,
    pub image: Bytes,
    /// Width and height, if the image was already decoded.
    pub size: Option<(u32, u32)>,
    pub captions: Vec<Caption>,
    /// Number of texts that were read, including missing ones.
    pub texts: u64,
    /// Facts of the job's ledger; `None` of human pairs.
    pub judged: Option<Judged>,
    pub more: Map<String, Value>,
}

/// Some rows, and their pass-through columns.
pub(crate) struct Rows {
    pub rows: Vec<Row>,
    pub passthrough: RecordBatch,
}

/// Reader of a part.
pub(crate) enum Reader {
    Human { file: String, reader: Box<ShardReader> },
    Job { file: String, reader: Box<CleanedReader>, texts: Texts, row: u64 },
}

impl Reader {
    /// The next rows; `None` at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Rows>, ExportError> {
        match self {
            Self::Human { file, reader } => {
                let Some(read) = reader.next().await? else { return Ok(None) };
                let more =
                    kinds::values(&read.passthrough).map_err(|error| ExportError::arrow(file, error))?;
                let rows = read.samples.into_iter().zip(more).filter(|(sample, _)| sample.selected);
                let rows = rows.map(|(sample, more)| human(file, sample, more)).collect();
                Ok(Some(Rows { rows, passthrough: read.passthrough }))
            }
            Self::Job { file, reader, texts, row } => {
                let Some(read) = reader.next().await? else { return Ok(None) };
                let more =
                    kinds::values(&read.passthrough).map_err(|error| ExportError::arrow(file, error))?;
                let first = *row;
                *row += read.rows.len() as u64;
                let rows = read.rows.into_iter().zip(more).zip(first..);
                let rows =
                    rows.map(|((cleaned, more), row)| of_job(file, cleaned, *texts, row, more)).collect();
                Ok(Some(Rows { rows, passthrough: read.passthrough }))
            }
        }
    }
}

fn human(file: &str, sample: Sample, more: Map<String, Value>) -> Row {
    let text = |text: &str| Caption {
        text: text.to_owned(),
        source: Origin::Human.name().to_owned(),
        itm: None,
        cosine: None,
    };
    let texts = sample.texts.len() as u64;
    let captions = sample.texts.iter().filter_map(|text| text.text.as_text()).map(text).collect();
    let image = match sample.image {
        ImageInput::Bytes { bytes, .. } => bytes,
        _ => Bytes::new(),
    };
    let (file, row, key) = (file.to_owned(), sample.row, sample.key);
    Row { file, row, key, image, size: None, captions, texts, judged: None, more }
}

fn of_job(file: &str, row: CleanedRow, texts: Texts, number: u64, more: Map<String, Value>) -> Row {
    let caption = |kept: &KeptText| Caption {
        text: kept.text.clone(),
        source: kept.source.clone(),
        itm: Some(kept.itm),
        cosine: kept.itc,
    };
    let captions: Vec<Caption> = row.selected(texts).into_iter().map(caption).collect();
    let size = Some((row.width, row.height));
    let texts = captions.len() as u64;
    let CleanedRow { key, image, judged, .. } = row;
    Row { file: file.to_owned(), row: number, key, image, size, captions, texts, judged, more }
}

/// Finds the requested pass-through columns of each file. `url` passes through if a file has it.
///
/// # Errors
/// No file has a requested column, or the store fails.
async fn inspect(
    place: &Location,
    shards: &[Shard],
    asked: &[String],
    key: Option<&str>,
    licence: Option<&str>,
) -> Result<BTreeMap<String, Vec<String>>, ExportError> {
    let files: BTreeMap<&str, &InputFile> =
        shards.iter().map(|shard| (shard.file.path.as_str(), &*shard.file)).collect();
    let footers =
        stream::iter(files).map(|(path, file)| async move { Ok((path, columns_of(place, file).await?)) });
    let found: Vec<(&str, BTreeSet<String>)> =
        footers.buffered(FOOTERS_AT_ONCE).try_collect::<Vec<_>>().await.map_err(ExportError::Read)?;
    let wanted = asked.iter().map(|name| (name.as_str(), "--passthrough"));
    let named = [(key, "--key"), (licence, "--licence-column")];
    let named = named.into_iter().filter_map(|(column, option)| Some((column?, option)));
    for (column, option) in wanted.chain(named) {
        if !found.iter().any(|(_, columns)| columns.contains(column)) {
            let all: BTreeSet<&str> =
                found.iter().flat_map(|(_, columns)| columns.iter().map(String::as_str)).collect();
            let columns = all.into_iter().collect::<Vec<_>>().join(", ");
            let (url, column) = (without_secrets(&place.url), column.to_owned());
            return Err(ExportError::NoColumn { url, column, option, columns });
        }
    }
    let mut names: Vec<String> = asked.to_vec();
    for column in ["url"].into_iter().chain(licence) {
        if !names.iter().any(|name| name == column) {
            names.push(column.to_owned());
        }
    }
    let there =
        |columns: &BTreeSet<String>| names.iter().filter(|name| columns.contains(*name)).cloned().collect();
    Ok(found.iter().map(|(path, columns)| ((*path).to_owned(), there(columns))).collect())
}

async fn columns_of(place: &Location, file: &InputFile) -> Result<BTreeSet<String>, ReadError> {
    let fail = |source| ReadError::Parquet { file: file.path.clone(), source };
    let metadata = PinnedObject::new(place, file).get_metadata(None).await.map_err(fail)?;
    let schema = parquet_to_arrow_schema(metadata.file_metadata().schema_descr(), None).map_err(fail)?;
    Ok(schema.fields().iter().map(|field| field.name().clone()).collect())
}
