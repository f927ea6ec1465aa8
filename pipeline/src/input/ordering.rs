//! Comparison of a column's cells with a literal.

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _},
    compute::cast,
    datatypes::{
        DataType, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int64Type, TimeUnit, UInt64Type,
        i256,
    },
    error::ArrowError,
};
use capfilt_schemas::predicate::Comparand;
use std::cmp::Ordering;

/// Order of each cell and the literal; `None` for null. The column has the type for which the comparand was
/// made.
pub(super) fn orderings(
    column: &ArrayRef,
    comparand: &Comparand,
) -> Result<Vec<Option<Ordering>>, ArrowError> {
    let to = |kind| cast(column, &kind);
    let floats = |order: &dyn Fn(f64) -> Ordering| -> Result<_, ArrowError> {
        let scale = decimal_scale(column.data_type());
        if let Some(scale) = scale {
            // Parsing rounds once; a quotient of two doubles would be rounded twice.
            let as_double = |cell: i256| format!("{cell}e{}", -scale).parse().unwrap_or(f64::NAN);
            return Ok(decimals(column)?.map(|cell| cell.map(|cell| order(as_double(cell)))).collect());
        }
        Ok(to(DataType::Float64)?.as_primitive::<Float64Type>().iter().map(|cell| cell.map(order)).collect())
    };
    Ok(match comparand {
        Comparand::Nothing => vec![None; column.len()],
        Comparand::Exact { unscaled, scale } => exact(column, *unscaled, *scale)?,
        Comparand::Single(value) => {
            let order = |cell: f32| order_of_floats(f64::from(cell), f64::from(*value));
            to(DataType::Float32)?.as_primitive::<Float32Type>().iter().map(|cell| cell.map(order)).collect()
        }
        Comparand::Double(value) => floats(&|cell| order_of_floats(cell, *value))?,
        Comparand::Bool(value) => {
            column.as_boolean().iter().map(|cell| cell.map(|cell| cell.cmp(value))).collect()
        }
        Comparand::Text(text) => {
            let cells = to(DataType::Utf8)?;
            cells.as_string::<i32>().iter().map(|cell| cell.map(|cell| cell.cmp(text.as_str()))).collect()
        }
        Comparand::Bytes(bytes) => {
            let cells = to(DataType::Binary)?;
            cells.as_binary::<i32>().iter().map(|cell| cell.map(|cell| cell.cmp(bytes.as_slice()))).collect()
        }
        Comparand::Day(day) => {
            integers(column)?.map(|cell| cell.map(|cell| cell.cmp(&i128::from(*day)))).collect()
        }
        Comparand::Nanoseconds(literal) => {
            let unit = nanoseconds_of_unit(column.data_type());
            integers(column)?.map(|cell| cell.map(|cell| (cell * unit).cmp(literal))).collect()
        }
    })
}

/// SQL's order: zero equals negative zero, and NaN equals itself and is above all numbers.
fn order_of_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn exact(column: &ArrayRef, unscaled: i256, scale: u8) -> Result<Vec<Option<Ordering>>, ArrowError> {
    if let Some(own) = decimal_scale(column.data_type()) {
        let order = |cell: i256| order_of_decimals((cell, own), (unscaled, i16::from(scale)));
        return Ok(decimals(column)?.map(|cell| cell.map(order)).collect());
    }
    // An integer is below 2.5 exactly if it is 2 or less: the literal's integer part decides, and for
    // equality its fraction.
    let (floor, has_rest) = divided(unscaled, power_of_ten(i16::from(scale)));
    let order = |cell: i128| {
        i256::from_i128(cell).cmp(&floor).then(if has_rest { Ordering::Less } else { Ordering::Equal })
    };
    Ok(integers(column)?.map(|cell| cell.map(order)).collect())
}

/// Order of `a.0 / 10^a.1` and `b.0 / 10^b.1`. The finer number is reduced to the scale of the other one, so
/// that no product can overflow.
fn order_of_decimals(a: (i256, i16), b: (i256, i16)) -> Ordering {
    if a.1 < b.1 {
        return order_of_decimals(b, a).reverse();
    }
    let (floor, has_rest) = divided(a.0, power_of_ten(a.1 - b.1));
    floor.cmp(&b.0).then(if has_rest { Ordering::Greater } else { Ordering::Equal })
}

/// The quotient, rounded down, and whether there is a remainder.
fn divided(value: i256, by: i256) -> (i256, bool) {
    if by == i256::ONE {
        return (value, false);
    }
    let (quotient, rest) = (value.wrapping_div(by), value.wrapping_rem(by));
    let floor = if rest.is_negative() { quotient.wrapping_sub(i256::ONE) } else { quotient };
    (floor, rest != i256::ZERO)
}

/// 10^`exponent`. Scales are at most 76, and 10^76 is the largest power below 2^255.
fn power_of_ten(exponent: i16) -> i256 {
    i256::from_i128(10).wrapping_pow(exponent.clamp(0, 76) as u32)
}

fn decimal_scale(kind: &DataType) -> Option<i16> {
    match kind {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(i16::from(*scale)),
        _ => None,
    }
}

type Cells<'a, T> = Box<dyn Iterator<Item = Option<T>> + 'a>;

/// Cells of a decimal column, unscaled.
fn decimals(column: &ArrayRef) -> Result<Cells<'_, i256>, ArrowError> {
    Ok(match column.data_type() {
        DataType::Decimal128(..) => {
            Box::new(column.as_primitive::<Decimal128Type>().iter().map(|cell| cell.map(i256::from_i128)))
        }
        DataType::Decimal256(..) => Box::new(column.as_primitive::<Decimal256Type>().iter()),
        other => {
            return Err(ArrowError::CastError(format!("is {other}, which is not a decimal type of Parquet")));
        }
    })
}

/// Cells of a column of integers, dates or times, as integers.
fn integers(column: &ArrayRef) -> Result<Cells<'static, i128>, ArrowError> {
    let column = match column.data_type() {
        DataType::UInt64 => {
            let cells: Vec<_> =
                column.as_primitive::<UInt64Type>().iter().map(|cell| cell.map(i128::from)).collect();
            return Ok(Box::new(cells.into_iter()));
        }
        DataType::Date32 | DataType::Time32(_) => cast(column, &DataType::Int32)?,
        _ => ArrayRef::clone(column),
    };
    let cells = cast(&column, &DataType::Int64)?;
    let cells: Vec<_> = cells.as_primitive::<Int64Type>().iter().map(|cell| cell.map(i128::from)).collect();
    Ok(Box::new(cells.into_iter()))
}

fn nanoseconds_of_unit(kind: &DataType) -> i128 {
    match kind {
        DataType::Timestamp(unit, _) | DataType::Time32(unit) | DataType::Time64(unit) => match unit {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        },
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_of_any_scales_compare_exactly() {
        let decimal = |value: i128, scale| (i256::from_i128(value), scale);
        for (a, b, order) in [
            (decimal(125, 2), decimal(1_250, 3), Ordering::Equal),
            (decimal(-125, 2), decimal(-12, 1), Ordering::Less),
            (decimal(-125, 2), decimal(-13, 1), Ordering::Greater),
            (decimal(1, 0), decimal(1, 38), Ordering::Greater),
            (decimal(i128::MAX, 0), decimal(i128::MAX, 76), Ordering::Greater),
            (decimal(-1, 76), decimal(0, 0), Ordering::Less),
        ] {
            assert_eq!(
                (order_of_decimals(a, b), order_of_decimals(b, a)),
                (order, order.reverse()),
                "{a:?} {b:?}"
            );
        }
    }

    #[test]
    fn zero_has_no_sign_and_nan_is_above_all_else() {
        assert_eq!(order_of_floats(-0.0, 0.0), Ordering::Equal);
        assert_eq!(order_of_floats(f64::NAN, f64::NAN), Ordering::Equal);
        assert_eq!(order_of_floats(f64::NAN, f64::INFINITY), Ordering::Greater);
        assert_eq!(order_of_floats(f64::NEG_INFINITY, f64::NAN), Ordering::Less);
    }
}
