//! Truth of texts: a table that a user names, with a key and booleans in each row.

use arrow::{
    array::{ArrayRef, AsArray as _, BooleanArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Schema},
    error::ArrowError,
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

/// A Parquet file, or a folder of Parquet files, that says which texts are true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TruthTable {
    /// The file or folder on this machine.
    pub path: PathBuf,
    /// Sources whose truth is in a column of another name: source, column.
    pub columns: Vec<(String, String)>,
}

/// The table cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the truth in {path}: {reason}")]
pub struct TruthError {
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// Truths by key. Memory: 60 bytes per row of the table, and 5 bytes per text of it.
#[derive(Debug)]
pub(crate) struct Truths {
    /// Rows by the first half of the SHA-256 of their key.
    rows: HashMap<u128, u32>,
    /// Whether a row of a ledger had the key.
    used: Vec<AtomicBool>,
    /// By source.
    columns: Vec<Option<Column>>,
}

/// Truths of the texts of one source.
#[derive(Debug)]
struct Column {
    name: String,
    /// Truths of all rows; `None` for a text whose truth is unknown.
    values: Vec<Option<bool>>,
    /// Beginning of each row among the values, and their end; `None` if each row has one value.
    starts: Option<Vec<u32>>,
}

impl TruthTable {
    /// Reads the truths of these sources, by a column of keys.
    ///
    /// # Errors
    /// A file that cannot be read, no column with truths, a column of another type, a repeated key.
    pub(crate) fn read(&self, key: &str, sources: &[String]) -> Result<Truths, TruthError> {
        let path = self.path.display().to_string();
        self.truths(key, sources).map_err(|reason| TruthError { path, reason })
    }

    fn truths(&self, key: &str, sources: &[String]) -> Result<Truths, String> {
        if let Some((source, _)) = self.columns.iter().find(|(source, _)| !sources.contains(source)) {
            return Err(format!("the job has no source `{source}`; it has {}", list(sources)));
        }
        let mut truths: Option<Truths> = None;
        for file in files(&self.path).map_err(|error| error.to_string())? {
            let at = |reason: String| format!("{}: {reason}", file.display());
            let open = File::open(&file).map_err(|error| at(error.to_string()))?;
            let builder =
                ParquetRecordBatchReaderBuilder::try_new(open).map_err(|error| at(error.to_string()))?;
            let truths = match &mut truths {
                Some(truths) => truths,
                none => none.insert(self.columns_in(builder.schema(), sources).map_err(at)?),
            };
            let names = truths.columns.iter().flatten().map(|column| column.name.as_str());
            let projection = ProjectionMask::columns(builder.parquet_schema(), names.chain([key]));
            let batches =
                builder.with_projection(projection).build().map_err(|error| at(error.to_string()))?;
            for batch in batches {
                truths.add(&batch.map_err(|error| at(error.to_string()))?, key).map_err(at)?;
            }
        }
        truths.ok_or_else(|| "the folder has no Parquet file".to_owned())
    }

    /// The columns with the truths of the sources: the named ones, and those with the name of a source.
    fn columns_in(&self, schema: &Schema, sources: &[String]) -> Result<Truths, String> {
        let column = |source: &String| {
            let named = self.columns.iter().find(|(of, _)| of == source).map(|(_, column)| column);
            let field = schema.field_with_name(named.unwrap_or(source)).ok();
            match (named, field.filter(|field| are_truths(field.data_type()))) {
                (_, Some(field)) => Ok(Some(Column::new(field.name(), field.data_type()))),
                (None, None) => Ok(None),
                (Some(name), None) => Err(format!("it has no column `{name}` of booleans or lists of them")),
            }
        };
        let columns: Vec<Option<Column>> = sources.iter().map(column).collect::<Result<_, String>>()?;
        if columns.iter().all(Option::is_none) {
            let names = list(sources);
            return Err(format!("no column of booleans has the name of a source ({names}): use --truth-of"));
        }
        Ok(Truths { rows: HashMap::new(), used: Vec::new(), columns })
    }
}

impl Column {
    fn new(name: &str, kind: &DataType) -> Self {
        let starts = (*kind != DataType::Boolean).then(|| vec![0]);
        Self { name: name.to_owned(), values: Vec::new(), starts }
    }

    fn add(&mut self, array: &ArrayRef) -> Result<(), ArrowError> {
        let Some(starts) = &mut self.starts else {
            let values = cast(array, &DataType::Boolean)?;
            self.values.extend(values.as_boolean().iter());
            return Ok(());
        };
        let lists = cast(array, &DataType::new_list(DataType::Boolean, true))?;
        for list in lists.as_list::<i32>().iter() {
            let items: Option<&BooleanArray> = list.as_ref().map(|list| list.as_boolean());
            self.values.extend(items.into_iter().flatten());
            starts.push(self.values.len() as u32);
        }
        Ok(())
    }

    /// Truths of the texts of a row; `None` if they are unknown.
    ///
    /// # Errors
    /// The table has another number of truths.
    fn of(&self, row: usize, texts: usize) -> Result<Option<&[Option<bool>]>, String> {
        let found = match &self.starts {
            Some(starts) => &self.values[starts[row] as usize..starts[row + 1] as usize],
            None => &self.values[row..=row],
        };
        if found.len() == texts {
            return Ok(Some(found));
        }
        let is_unknown = found.iter().all(Option::is_none) || texts == 0 && self.starts.is_none();
        let (name, truths) = (&self.name, found.len());
        if is_unknown { Ok(None) } else { Err(format!("{truths} truths in `{name}` for {texts} texts")) }
    }
}

impl Truths {
    fn add(&mut self, batch: &RecordBatch, key: &str) -> Result<(), String> {
        let column =
            |name: &str| batch.column_by_name(name).ok_or_else(|| format!("it has no column `{name}`"));
        let keys = cast(column(key)?, &DataType::Utf8).map_err(|error| error.to_string())?;
        for key in keys.as_string::<i32>().iter() {
            let row = u32::try_from(self.used.len()).map_err(|_| "it has too many rows".to_owned())?;
            if let Some(key) = key
                && self.rows.insert(half_digest(key), row).is_some()
            {
                return Err(format!("two rows have the key {key:?}"));
            }
            self.used.push(AtomicBool::new(false));
        }
        for of_source in self.columns.iter_mut().flatten() {
            let values = column(&of_source.name)?;
            of_source.add(values).map_err(|error| format!("its column `{}`: {error}", of_source.name))?;
        }
        Ok(())
    }

    /// Whether the table has a column for a source.
    pub fn has(&self, source: usize) -> bool {
        self.columns[source].is_some()
    }

    /// Truth of each text of a row, by the sources of its texts; empty if the table does not have its key.
    ///
    /// # Errors
    /// A sentence: another row had the key, or the table has another number of truths.
    pub fn of_row(&self, key: &str, sources: &[usize]) -> Result<Vec<Option<bool>>, String> {
        let Some(row) = self.rows.get(&half_digest(key)).map(|row| *row as usize) else {
            return Ok(Vec::new());
        };
        if self.used[row].swap(true, Ordering::Relaxed) {
            return Err(format!("two judged rows of the job have the key {key:?}"));
        }
        let mut found = vec![None; sources.len()];
        for (source, column) in self.columns.iter().enumerate() {
            let Some(column) = column else { continue };
            let texts: Vec<usize> = (0..sources.len()).filter(|at| sources[*at] == source).collect();
            let truths = column.of(row, texts.len()).map_err(|why| format!("the key {key:?} has {why}"))?;
            texts.iter().zip(truths.unwrap_or_default()).for_each(|(at, truth)| found[*at] = *truth);
        }
        Ok(found)
    }
}

/// 128 bits of a key's SHA-256: two keys are not equal by chance, nor by the intention of their author.
fn half_digest(key: &str) -> u128 {
    let digest: [u8; 32] = Sha256::digest(key).into();
    u128::from_le_bytes(digest[..16].try_into().expect("half of 32 bytes"))
}

fn are_truths(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) | DataType::LargeList(item) => *item.data_type() == DataType::Boolean,
        other => *other == DataType::Boolean,
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The file, or the Parquet files in the folder, by name.
fn files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in path.read_dir()? {
        found.push(entry?.path());
    }
    found.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
    found.sort();
    Ok(found)
}
