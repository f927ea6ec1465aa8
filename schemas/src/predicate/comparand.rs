//! A literal, converted for the comparison with a column: DuckDB's rules for the common type of both.

use super::{
    Literal, Number,
    moment::{Moment, Precision, time_of_day},
};
use arrow::datatypes::{DataType, TimeUnit, i256};

/// Value that the cells of a column are compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparand {
    /// The column has no values; every comparison is unknown.
    Nothing,
    /// `unscaled` / 10^`scale`: integers and decimals compare exactly at any size.
    Exact {
        /// All digits, without the decimal point.
        unscaled: i256,
        /// Digits after the decimal point.
        scale: u8,
    },
    /// Columns of 16 and 32 bits are compared as floats with a numeral without an exponent: `score = 0.1`
    /// finds 0.1.
    Single(f32),
    /// Any other comparison of floats.
    Double(f64),
    /// Truth value.
    Bool(bool),
    /// Text, compared byte by byte.
    Text(String),
    /// Bytes of a binary column.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Day(i64),
    /// Nanoseconds since 1970-01-01, or since midnight.
    Nanoseconds(i128),
}

impl Comparand {
    pub(super) fn of(literal: &Literal, column: &DataType) -> Result<Self, String> {
        let fitting = match (literal, column) {
            (_, DataType::Null) => Some(Self::Nothing),
            (Literal::Bool(value), DataType::Boolean) => Some(Self::Bool(*value)),
            (Literal::Number(number), kind) => of_number(number, kind),
            (Literal::Text(text), kind) => return of_text(text, kind, literal),
            _ => None,
        };
        fitting.ok_or_else(|| format!("is {column}, but input.where compares it with {literal}"))
    }
}

fn of_number(number: &Number, column: &DataType) -> Option<Comparand> {
    use DataType::{Float16, Float32, Float64};
    let is_exact = column.is_integer() || column.is_decimal();
    match (number, column) {
        (Number::Exact { unscaled, scale }, _) if is_exact => {
            Some(Comparand::Exact { unscaled: *unscaled, scale: *scale })
        }
        (Number::Exact { .. }, Float16 | Float32) => Some(Comparand::Single(number.to_f32())),
        (_, Float16 | Float32 | Float64) => Some(Comparand::Double(number.to_f64())),
        (Number::Double(value), _) if is_exact => Some(Comparand::Double(*value)),
        _ => None,
    }
}

fn of_text(text: &str, column: &DataType, literal: &Literal) -> Result<Comparand, String> {
    let precise = |unit: &TimeUnit| match unit {
        TimeUnit::Nanosecond => Precision::Nanoseconds,
        _ => Precision::Microseconds,
    };
    let (found, form) = match column {
        kind if kind.is_string() => (Some(Comparand::Text(text.to_owned())), ""),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
            (bytes(text).map(Comparand::Bytes), "ASCII, and other bytes as \\xFF")
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            (not_finite(text).map(Comparand::Double), "a number, or 'nan', 'inf' or '-inf'")
        }
        DataType::Date32 => {
            let moment = Moment::parse(text, Precision::Microseconds);
            (moment.map(|moment| Comparand::Day(moment.day)), "'2024-12-31'")
        }
        DataType::Timestamp(unit, zone) => {
            let moment = Moment::parse(text, precise(unit));
            let since = |moment: Moment| if zone.is_some() { moment.utc() } else { moment.local() };
            (
                moment.map(since).map(Comparand::Nanoseconds),
                "'2024-12-31 23:59:59.5' or '2024-12-31T23:59:59+09:00'",
            )
        }
        DataType::Time32(unit) | DataType::Time64(unit) => {
            (time_of_day(text, precise(unit)).map(Comparand::Nanoseconds), "'23:59:59.5'")
        }
        _ => return Err(format!("is {column}, but input.where compares it with {literal}")),
    };
    found.ok_or_else(|| format!("is {column}, but input.where compares it with {literal}; write {form}"))
}

/// Values that numerals cannot express.
fn not_finite(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    (!value.is_finite() && text.bytes().any(|c| c.is_ascii_alphabetic())).then_some(value)
}

/// Parses DuckDB's notation of bytes: ASCII characters, and `\xFF` for one byte.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first == '\\' {
            let digits = rest.get(2..4).filter(|_| rest[1..].starts_with('x'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            4
        } else {
            bytes.push(u8::try_from(first).ok().filter(u8::is_ascii)?);
            1
        };
        rest = &rest[length..];
    }
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_fits_the_types_that_duckdb_compares_it_with() {
        let of = |literal: &Literal, kind: &DataType| literal.against(kind);
        let text = |text: &str| Literal::Text(text.to_owned());
        let number = |text: &str| Literal::Number(Number::parse(text).unwrap());
        assert_eq!(of(&text("x"), &DataType::Null), Ok(Comparand::Nothing));
        assert_eq!(of(&number("0.1"), &DataType::Float32), Ok(Comparand::Single(0.1)));
        assert_eq!(of(&number("1e-1"), &DataType::Float32), Ok(Comparand::Double(0.1)));
        assert_eq!(of(&number("5e0"), &DataType::Int64), Ok(Comparand::Double(5.0)));
        assert_eq!(of(&text("1970-01-02"), &DataType::Date32), Ok(Comparand::Day(1)));
        assert_eq!(of(&text("a\\xFF"), &DataType::Binary), Ok(Comparand::Bytes(b"a\xff".to_vec())));
        assert_eq!(of(&text("-inf"), &DataType::Float64), Ok(Comparand::Double(f64::NEG_INFINITY)));
        let zoned = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
        assert_eq!(of(&text("1970-01-01 09:00:00+09"), &zoned), Ok(Comparand::Nanoseconds(0)));
        for (literal, kind) in [
            (number("5"), DataType::Utf8),
            (number("5"), DataType::Date32),
            (text("5"), DataType::Int64),
            (text("5"), DataType::Float64),
            (text("yesterday"), DataType::Date32),
            (text("é"), DataType::Binary),
            (Literal::Bool(true), DataType::Int8),
            (text("x"), DataType::FixedSizeBinary(16)),
        ] {
            let problem = of(&literal, &kind).unwrap_err();
            assert!(
                problem.contains(&format!("is {kind}, but input.where compares it with {literal}")),
                "{problem}"
            );
        }
    }
}
