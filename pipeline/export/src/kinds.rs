//! Pass-through columns: any Arrow type as one of four kinds, the same in every sample of an export.

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field},
    error::ArrowError,
};
use capfilt_pipeline::output::json_values;
use capfilt_schemas::export;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Kind of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// No row had a value so far.
    Nothing,
    Bool,
    Whole,
    Number,
    Text,
}

/// Kinds of all columns, by name.
pub(crate) type Kinds = BTreeMap<String, Kind>;

impl Kind {
    fn of(value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_i64() => Self::Whole,
            Value::Number(_) => Self::Number,
            _ => Self::Text,
        }
    }

    /// Smallest kind that contains the values of both.
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Nothing, known) | (known, Self::Nothing) => known,
            (Self::Whole | Self::Number, Self::Whole | Self::Number) => Self::Number,
            _ => Self::Text,
        }
    }

    /// A value in this kind. A missing value becomes the kind's zero, because samples have no nulls.
    pub fn value(self, value: Option<&Value>) -> Value {
        match (self, value) {
            (Self::Bool, value) => json!(value.and_then(Value::as_bool).unwrap_or_default()),
            (Self::Whole, value) => json!(value.and_then(Value::as_i64).unwrap_or_default()),
            (Self::Number, value) => json!(value.and_then(Value::as_f64).unwrap_or_default()),
            (Self::Text, Some(Value::String(text))) => json!(text),
            (Self::Text, Some(other)) => json!(other.to_string()),
            (Self::Text, None) | (Self::Nothing, _) => json!(""),
        }
    }

    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Whole => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Text | Self::Nothing => DataType::Utf8,
        }
    }
}

/// Adds the columns of a batch, with kind `Nothing`.
pub(crate) fn name(kinds: &mut Kinds, batch: &RecordBatch) {
    batch.schema().fields().iter().for_each(|field| add(kinds, &own_name(field), Kind::Nothing));
}

/// Adds the kinds of a row's values.
pub(crate) fn learn(kinds: &mut Kinds, values: &Map<String, Value>) {
    for (name, value) in values {
        add(kinds, name, Kind::of(value));
    }
}

/// Adds the kinds of other rows.
pub(crate) fn merge(kinds: &mut Kinds, others: &Kinds) {
    others.iter().for_each(|(name, kind)| add(kinds, name, *kind));
}

fn add(kinds: &mut Kinds, name: &str, kind: Kind) {
    match kinds.get_mut(name) {
        Some(known) => *known = known.with(kind),
        None => {
            kinds.insert(name.to_owned(), kind);
        }
    }
}

/// Values of each row by column, without nulls and without numbers that JSON does not support. A column with
/// a name of the export gets the prefix `input_`.
pub(crate) fn values(batch: &RecordBatch) -> Result<Vec<Map<String, Value>>, ArrowError> {
    let mut rows = vec![Map::new(); batch.num_rows()];
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let name = own_name(field);
        for (row, value) in rows.iter_mut().zip(json_values(column)?) {
            if let Some(value) = value {
                row.insert(name.clone(), value);
            }
        }
    }
    Ok(rows)
}

fn own_name(field: &Field) -> String {
    name_of(field.name())
}

/// Name in the export of a column of the input.
pub(crate) fn name_of(name: &str) -> String {
    let is_ours = name != "url" && export::schema(&[]).field_with_name(name).is_ok();
    if is_ours { format!("input_{name}") } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{ArrayRef, Float32Array, Int32Array, ListArray, NullArray, StringArray, UInt64Array},
        datatypes::Int64Type,
    };
    use std::sync::Arc;

    fn row(columns: Vec<(&str, ArrayRef)>) -> Map<String, Value> {
        values(
            &RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
                .unwrap(),
        )
        .unwrap()
        .remove(0)
    }

    #[test]
    fn a_value_has_one_kind_in_every_sample_and_is_never_null() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some([Some(1), None])]);
        let first = row(vec![
            ("a", Arc::new(Int32Array::from(vec![7]))),
            ("b", Arc::new(StringArray::from(vec!["x"]))),
            ("c", Arc::new(Float32Array::from(vec![f32::NAN]))),
            ("d", Arc::new(NullArray::new(1))),
            ("e", Arc::new(list)),
            ("f", Arc::new(UInt64Array::from(vec![u64::MAX]))),
            ("itm", Arc::new(Int32Array::from(vec![1]))),
        ]);
        let second = row(vec![
            ("a", Arc::new(Float32Array::from(vec![0.5]))),
            ("b", Arc::new(Int32Array::from(vec![3]))),
        ]);
        let mut kinds = Kinds::from([("d".to_owned(), Kind::Nothing)]);
        [&first, &second].iter().for_each(|row| learn(&mut kinds, row));
        let text = |row: &Map<String, Value>, name: &str| kinds[name].value(row.get(name));
        assert_eq!((text(&first, "a"), text(&second, "a")), (json!(7.0), json!(0.5)));
        assert_eq!((text(&first, "b"), text(&second, "b")), (json!("x"), json!("3")));
        assert_eq!((text(&first, "d"), first.contains_key("c")), (json!(""), false));
        assert_eq!((text(&first, "e"), text(&second, "e")), (json!("[1, ]"), json!("")));
        assert_eq!(text(&first, "f"), json!("18446744073709551615"));
        assert_eq!(text(&first, "input_itm"), json!(1));
    }
}
