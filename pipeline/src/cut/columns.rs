//! Columns that the condition of a cut may name: fields of a text, and of its row.

use super::{CutError, range, texts};
use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, RecordBatch, RecordBatchOptions, StringArray, UInt32Array,
        UInt64Array,
    },
    compute::take,
    datatypes::{DataType, Field, Schema},
};
use capfilt_schemas::{ledger::CONTROL_CLIP, predicate::Predicate};
use std::sync::Arc;

/// Where a column's values are.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// A column of the ledger, with one cell per row.
    Row,
    /// A field of the texts.
    Text,
    /// A number that is computed from a text.
    Counted(fn(&str) -> usize),
}

/// Names, types and origins of the columns.
pub const COLUMNS: [(&str, DataType, Origin); 17] = [
    ("source", DataType::Utf8, Origin::Text),
    ("text", DataType::Utf8, Origin::Text),
    ("itm", DataType::Float32, Origin::Text),
    ("itc", DataType::Float32, Origin::Text),
    ("clip", DataType::Float32, Origin::Text),
    ("language", DataType::Utf8, Origin::Text),
    ("repetition", DataType::Float32, Origin::Text),
    ("words", DataType::UInt32, Origin::Counted(words)),
    ("characters", DataType::UInt32, Origin::Counted(characters)),
    ("key", DataType::Utf8, Origin::Row),
    ("file", DataType::Utf8, Origin::Row),
    ("row", DataType::UInt64, Origin::Row),
    ("member", DataType::Utf8, Origin::Row),
    ("width", DataType::UInt32, Origin::Row),
    ("height", DataType::UInt32, Origin::Row),
    ("control_itm", DataType::Float32, Origin::Row),
    (CONTROL_CLIP, DataType::Float32, Origin::Row),
];

/// Leaf column with the CLIP scores, of a job that has them.
pub(super) const CLIP: &str = "texts.list.item.clip";

/// Words of a text, separated by white space.
fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Unicode characters of a text.
fn characters(text: &str) -> usize {
    text.chars().count()
}

/// The column with a name.
fn find(name: &str) -> Option<&'static (&'static str, DataType, Origin)> {
    static TABLE: [(&str, DataType, Origin); 17] = COLUMNS;
    TABLE.iter().find(|(known, ..)| *known == name)
}

/// Leaf column of the Parquet file with the values of a column.
pub(super) fn leaf(name: &str) -> Option<&'static str> {
    let (name, _, origin) = find(name)?;
    Some(match (origin, *name) {
        (Origin::Row, name) => name,
        (Origin::Counted(_), _) | (Origin::Text, "text") => "texts.list.item.text",
        (Origin::Text, "itc") => "texts.list.item.itc",
        (Origin::Text, "clip") => CLIP,
        (Origin::Text, "language") => "texts.list.item.language",
        (Origin::Text, "repetition") => "texts.list.item.repetition",
        (Origin::Text, _) => return None, // a column that every cut reads
    })
}

/// Checks the columns of a condition, and each comparison.
pub(super) fn check(condition: &Predicate) -> Result<(), CutError> {
    for (column, literal) in condition.uses() {
        let Some((_, kind, _)) = find(column) else {
            let known = COLUMNS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
            return Err(CutError::UnknownColumn { column: column.to_owned(), known });
        };
        if let Some(literal) = literal {
            let refused = |why| CutError::Uncomparable { column: column.to_owned(), why };
            literal.against(kind).map_err(refused)?;
        }
    }
    Ok(())
}

/// Table with the columns of a condition, and a row for each item of column `texts`.
pub(super) fn of_texts(condition: &Predicate, batch: &RecordBatch) -> Result<RecordBatch, CutError> {
    let lists = texts(batch);
    let items = lists.values().as_struct();
    let mut rows: Vec<Option<u64>> = vec![None; items.len()];
    for row in 0..lists.len() {
        range(lists, row).for_each(|item| rows[item] = Some(row as u64));
    }
    let rows = UInt64Array::from(rows);
    let (mut fields, mut columns) = (Vec::new(), Vec::<ArrayRef>::new());
    for name in condition.columns() {
        let Some((name, kind, origin)) = find(name) else { continue };
        fields.push(Field::new(*name, kind.clone(), true));
        columns.push(match origin {
            Origin::Row => take(column(batch.column_by_name(name), name)?, &rows, None)?,
            Origin::Text => Arc::clone(column(items.column_by_name(name), name)?),
            Origin::Counted(count) => {
                counts(column(items.column_by_name("text"), "text")?.as_string(), *count)
            }
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(items.len()));
    Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
}

fn column<'a>(found: Option<&'a ArrayRef>, name: &str) -> Result<&'a ArrayRef, CutError> {
    found.ok_or_else(|| CutError::Row(format!("it has no column `{name}`")))
}

fn counts(texts: &StringArray, count: fn(&str) -> usize) -> ArrayRef {
    let number = |text: &str| u32::try_from(count(text)).unwrap_or(u32::MAX);
    Arc::new(texts.iter().map(|text| text.map(number)).collect::<UInt32Array>())
}
