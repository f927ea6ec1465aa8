//! Columns of several samples: those of the condition, and those that pass through.

use super::{
    draft::{Draft, Found},
    places::Place,
};
use arrow::{
    array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};
use serde_json::Value;
use std::sync::Arc;

/// A batch of columns. A value of another type counts as null, and a note of its sample names the column.
pub(in crate::input) fn batch<'a>(
    drafts: &mut [Draft],
    columns: impl Iterator<Item = (&'a str, &'a Place, DataType)>,
) -> Result<RecordBatch, ArrowError> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, place, kind) in columns {
        arrays.push(array(drafts, name, place, &kind));
        fields.push(Field::new(name, kind, true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(drafts.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
}

fn array(drafts: &mut [Draft], name: &str, place: &Place, kind: &DataType) -> ArrayRef {
    match kind {
        DataType::Float64 => {
            let cells = each(drafts, name, |draft| match draft.find(place) {
                Found::Nothing => Ok(None),
                Found::Field(Value::Number(number)) => Ok(number.as_f64()),
                _ => number(draft.string(place)?),
            });
            Arc::new(Float64Array::from(cells))
        }
        DataType::Boolean => {
            let cells = each(drafts, name, |draft| match draft.find(place) {
                Found::Nothing => Ok(None),
                Found::Field(Value::Bool(value)) => Ok(Some(*value)),
                // Members and CSV files have only text.
                _ => boolean(draft.string(place)?),
            });
            Arc::new(BooleanArray::from(cells))
        }
        _ => Arc::new(StringArray::from(each(drafts, name, |draft| draft.string(place)))),
    }
}

fn number(text: Option<String>) -> Result<Option<f64>, String> {
    let parsed = text.map(|text| text.trim().parse());
    parsed.transpose().map_err(|_| "is not a number and counts as null".to_owned())
}

fn boolean(text: Option<String>) -> Result<Option<bool>, String> {
    match text.as_deref().map(str::trim) {
        None => Ok(None),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Some(_) => Err("is not true or false and counts as null".to_owned()),
    }
}

fn each<T>(
    drafts: &mut [Draft],
    name: &str,
    value: impl Fn(&Draft) -> Result<Option<T>, String>,
) -> Vec<Option<T>> {
    let cell = |draft: &mut Draft| match value(draft) {
        Ok(value) => value,
        Err(why) => {
            draft.note(format!("`{name}` {why}"));
            None
        }
    };
    drafts.iter_mut().map(cell).collect()
}
