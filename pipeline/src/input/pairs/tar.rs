//! Pairs in a tar.

use super::{CleanedRows, ROWS_AT_ONCE, cleaned};
use crate::input::ReadError;
use arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, NullArray, RecordBatch, RecordBatchOptions,
        StringArray,
    },
    datatypes::{Field, Schema},
    error::ArrowError,
};
use capfilt_schemas::{commit::Output, pairs::Sample};
use capfilt_store::{
    Location,
    tar::{self, WholeSamples},
};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, sync::Arc};

/// Bytes of images at which the rows that are read at once end.
const IMAGE_BYTES: usize = 64 << 20;

pub(super) struct TarReader {
    samples: WholeSamples,
    path: String,
}

impl TarReader {
    pub fn open(job: &Location, object: &Output) -> Self {
        Self { samples: WholeSamples::of_output(job, object), path: object.path.clone() }
    }

    pub async fn next(&mut self) -> Result<Option<CleanedRows>, ReadError> {
        let fault = |why| ReadError::Format { file: self.path.clone(), format: "a tar", why };
        let (mut rows, mut passed, mut bytes) = (Vec::new(), Vec::new(), 0);
        while rows.len() < ROWS_AT_ONCE && bytes < IMAGE_BYTES {
            let found = self.samples.next().await;
            let found =
                found.map_err(|error| ReadError::Store { file: self.path.clone(), source: error.into() })?;
            let Some(found) = found.map_err(fault)? else { break };
            let json = found.member(tar::RECORD).map(AsRef::as_ref).unwrap_or_default();
            let sample = Sample::decode(json);
            let sample = sample.map_err(|why| fault(format!("the .json of sample {}: {why}", found.name)))?;
            let image = found.member(tar::IMAGE).map(AsRef::as_ref);
            bytes += image.map_or(0, <[u8]>::len);
            // The row has a copy of the image, so that it does not hold a whole piece of the tar in memory.
            rows.push(cleaned(sample.row(image)));
            passed.push(sample.passthrough);
        }
        let passthrough = columns(&passed).map_err(|error| fault(error.to_string()))?;
        Ok((!rows.is_empty()).then_some(CleanedRows { rows, passthrough }))
    }
}

/// The pass-through columns of some rows, each with the narrowest type for its values.
fn columns(rows: &[Map<String, Value>]) -> Result<RecordBatch, ArrowError> {
    let names: BTreeSet<&String> = rows.iter().flat_map(Map::keys).collect();
    let columns: Vec<(&String, ArrayRef)> = names
        .into_iter()
        .map(|name| {
            let values = rows.iter().map(|row| row.get(name).filter(|value| !value.is_null()));
            (name, column(&values.collect::<Vec<_>>()))
        })
        .collect();
    let field = |(name, column): &(&String, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new_with_options(Arc::new(schema), columns, &options)
}

fn column(values: &[Option<&Value>]) -> ArrayRef {
    let all = |is: fn(&Value) -> bool| values.iter().flatten().all(|value| is(value));
    let each = || values.iter().copied();
    if values.iter().all(Option::is_none) {
        Arc::new(NullArray::new(values.len()))
    } else if all(Value::is_boolean) {
        Arc::new(each().map(|value| value?.as_bool()).collect::<BooleanArray>())
    } else if all(Value::is_i64) {
        Arc::new(each().map(|value| value?.as_i64()).collect::<Int64Array>())
    } else if all(Value::is_number) {
        Arc::new(each().map(|value| value?.as_f64()).collect::<Float64Array>())
    } else {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Arc::new(each().map(|value| value.map(text)).collect::<StringArray>())
    }
}
