//! Values of an Arrow column as JSON, for pass-through columns of tars and exports.

use arrow::{
    array::{Array, ArrayRef, AsArray as _},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use serde_json::Value;

/// Values of a column: truth values, whole numbers, numbers and texts. `None` is null, or a number that JSON
/// does not support (NaN). Dates, decimals, bytes, lists and other types are text, and so are whole numbers
/// if one of the column is above those of 64 bits with a sign.
///
/// # Errors
/// A column that Arrow cannot display.
pub fn json_values(column: &ArrayRef) -> Result<Vec<Option<Value>>, ArrowError> {
    Ok(match column.data_type() {
        DataType::Null => vec![None; column.len()],
        DataType::Boolean => column.as_boolean().iter().map(|value| value.map(Value::from)).collect(),
        kind if kind.is_integer() && is_within_i64(column)? => {
            let whole = cast(column, &DataType::Int64)?;
            whole.as_primitive::<Int64Type>().iter().map(|value| value.map(Value::from)).collect()
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let numbers = cast(column, &DataType::Float64)?;
            let finite = |value: Option<f64>| value.filter(|value| value.is_finite()).map(Value::from);
            numbers.as_primitive::<Float64Type>().iter().map(finite).collect()
        }
        _ => {
            let options = FormatOptions::new();
            let shown = ArrayFormatter::try_new(column, &options)?;
            let text = |i| column.is_valid(i).then(|| shown.value(i).to_string());
            (0..column.len()).map(|i| text(i).map(Value::from)).collect()
        }
    })
}

/// Whether all values fit a signed 64-bit integer.
fn is_within_i64(column: &ArrayRef) -> Result<bool, ArrowError> {
    Ok(column.data_type() != &DataType::UInt64
        || cast(column, &DataType::Int64)?.null_count() == column.null_count())
}
