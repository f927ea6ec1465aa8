//! Numbers of a condition, exactly as written.

use arrow::datatypes::i256;
use std::fmt;

/// A number with DuckDB's rules: a numeral without an exponent is exact, one with an exponent is a double.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// `unscaled` / 10^`scale`.
    Exact {
        /// All digits, without the decimal point.
        unscaled: i256,
        /// Digits after the decimal point.
        scale: u8,
    },
    /// A numeral with an exponent, or with more digits than an exact number has.
    Double(f64),
}

/// Most digits of an exact number with a decimal point; a longer one is a double, as in DuckDB.
const DECIMAL_DIGITS: usize = 38;
/// Most digits of an exact integer, limited by 256 bits.
const INTEGER_DIGITS: usize = 76;

impl Number {
    /// Parses a number; `None` for any other text.
    pub fn parse(written: &str) -> Option<Self> {
        Self::exact(written).or_else(|| written.parse().ok().map(Self::Double))
    }

    fn exact(written: &str) -> Option<Self> {
        let digits = written.strip_prefix(['+', '-']).unwrap_or(written);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let whole = whole.trim_start_matches('0');
        let all = format!("{whole}{fraction}");
        let limit = if fraction.is_empty() { INTEGER_DIGITS } else { DECIMAL_DIGITS };
        let is_numeral =
            digits.bytes().any(|c| c.is_ascii_digit()) && all.bytes().all(|c| c.is_ascii_digit());
        if !is_numeral || all.len() > limit {
            return None;
        }
        let unscaled = i256::from_string(if all.is_empty() { "0" } else { &all })?;
        let unscaled = if written.starts_with('-') { unscaled.wrapping_neg() } else { unscaled };
        Some(Self::Exact { unscaled, scale: fraction.len() as u8 })
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        match self {
            Self::Exact { .. } => self.to_string().parse().expect("a numeral is a double"),
            Self::Double(value) => *value,
        }
    }

    /// The nearest float of 32 bits.
    pub fn to_f32(&self) -> f32 {
        match self {
            Self::Exact { .. } => self.to_string().parse().expect("a numeral is a float"),
            Self::Double(value) => *value as f32,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Double(value) => write!(out, "{value:e}"),
            Self::Exact { unscaled, scale: 0 } => write!(out, "{unscaled}"),
            Self::Exact { unscaled, scale } => {
                let scale = usize::from(*scale);
                let digits = format!("{:0>width$}", unscaled.wrapping_abs().to_string(), width = scale + 1);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                write!(out, "{}{whole}.{fraction}", if unscaled.is_negative() { "-" } else { "" })
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_as_exact_as_it_is_written() {
        for written in ["0", "7", "-7", "9007199254740993", "18446744073709551615", "0.10", "-0.001", "12.5"]
        {
            assert_eq!(Number::parse(written).unwrap().to_string(), written);
        }
        assert_eq!(Number::parse("+007.50").unwrap().to_string(), "7.50");
        assert_eq!(Number::parse("0.1").unwrap().to_f32(), 0.1);
        assert_eq!(Number::parse("1e3"), Some(Number::Double(1000.0)));
        assert!(matches!(Number::parse(&"9".repeat(76)), Some(Number::Exact { scale: 0, .. })));
        for double in ["9".repeat(77), format!("0.{}", "1".repeat(39)), "-1e-3".to_owned()] {
            assert!(matches!(Number::parse(&double), Some(Number::Double(_))), "{double}");
        }
        for none in ["", "-", ".", "1..2", "1.2.3", "--1", "1-", "0x10"] {
            assert_eq!(Number::parse(none), None, "{none}");
        }
    }
}
