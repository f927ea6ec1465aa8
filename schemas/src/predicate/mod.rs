//! The language of `input.where`: comparisons of columns with literals, joined by `and`, `or`, `not` and
//! brackets.
//!
//! ```text
//! status = 'success' and (width >= 256 or height >= 256) and not punsafe > 0.1 and url is not null
//! ```
//!
//! As in SQL, a comparison with null is unknown, and a row is selected only if the whole condition is true.
//! Numbers, times and texts are compared as in DuckDB; [`Comparand`] has the rules.

mod comparand;
mod moment;
mod number;
mod parse;
mod tokens;

pub use comparand::Comparand;
pub use number::Number;

use arrow::datatypes::DataType;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A condition on a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// Comparison of a cell with a literal.
    Compare {
        /// Column of the cell.
        column: String,
        /// Operator of the comparison.
        operator: Operator,
        /// Right side of the comparison.
        literal: Literal,
    },
    /// Test for null.
    IsNull {
        /// Column of the cell.
        column: String,
        /// Whether the cell must not be null.
        negated: bool,
    },
    /// A list, so that a long condition is not a deep one.
    And(Vec<Predicate>),
    /// At least one of the conditions.
    Or(Vec<Predicate>),
    /// The opposite of a condition.
    Not(Box<Predicate>),
}

/// Comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// Right side of a comparison, as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Numeral.
    Number(Number),
    /// Text in quotes.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
}

/// Fault of a condition, with its position.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PredicateError {
    /// Another token was expected.
    #[error(
        "input.where: expected {expected} at `{found}`; an example of a condition: status = 'success' and \
         width >= 256"
    )]
    Expected {
        /// Tokens that may follow at this position.
        expected: &'static str,
        /// The token at this position.
        found: String,
    },
    /// The condition is nested too deeply.
    #[error("input.where: more than {limit} nested brackets and nots; write the condition with fewer")]
    Nested {
        /// Most levels.
        limit: usize,
    },
}

impl PredicateError {
    fn expected(expected: &'static str, found: impl ToString) -> Self {
        Self::Expected { expected, found: found.to_string() }
    }
}

impl Predicate {
    /// Parses a condition.
    pub fn parse(text: &str) -> Result<Self, PredicateError> {
        parse::parse(text)
    }

    /// Columns of the condition.
    pub fn columns(&self) -> BTreeSet<&str> {
        self.uses().into_iter().map(|(column, _)| column).collect()
    }

    /// Columns of the condition, each time with the compared literal; `None` for a test for null.
    pub fn uses(&self) -> Vec<(&str, Option<&Literal>)> {
        match self {
            Self::Compare { column, literal, .. } => vec![(column, Some(literal))],
            Self::IsNull { column, .. } => vec![(column, None)],
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::uses).collect(),
            Self::Not(part) => part.uses(),
        }
    }
}

impl Predicate {
    /// Types of the columns for a format without types: that of the first literal with which the condition
    /// compares the column, else text.
    pub fn assumed_types(&self) -> BTreeMap<&str, DataType> {
        let uses = self.uses();
        let (compared, tested): (Vec<_>, Vec<_>) =
            uses.into_iter().partition(|(_, literal)| literal.is_some());
        let mut types = BTreeMap::new();
        for (column, literal) in compared.into_iter().chain(tested) {
            types.entry(column).or_insert(match literal {
                Some(Literal::Number(_)) => DataType::Float64,
                Some(Literal::Bool(_)) => DataType::Boolean,
                Some(Literal::Text(_)) | None => DataType::Utf8,
            });
        }
        types
    }
}

impl Literal {
    /// Converts the literal for the comparison with a column of this type.
    ///
    /// # Errors
    /// The reason why both cannot be compared: a sentence about the column, such as "column `x` is Utf8, but
    /// ...", without its beginning.
    pub fn against(&self, column: &DataType) -> Result<Comparand, String> {
        Comparand::of(self, column)
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(out, "{number}"),
            Self::Text(text) => write!(out, "'{}'", text.replace('\'', "''")),
            Self::Bool(value) => write!(out, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_without_a_type_has_that_of_its_first_literal() {
        let condition = Predicate::parse("a is not null and a > 1 and b = true or c = 'x' and d is null");
        let condition = condition.unwrap();
        let types = [DataType::Float64, DataType::Boolean, DataType::Utf8, DataType::Utf8];
        assert_eq!(condition.assumed_types(), ["a", "b", "c", "d"].into_iter().zip(types).collect());
    }

    #[test]
    fn and_binds_tighter_than_or_and_brackets_bind_tightest() {
        let a = || Predicate::parse("a = 1").unwrap();
        let b = || Predicate::parse("b = 'x''y'").unwrap();
        let c = || Predicate::parse("\"c d\" is not null").unwrap();
        let parse = |text| Predicate::parse(text).unwrap();
        assert_eq!(
            parse("a = 1 or b='x''y' AND \"c d\" is not null"),
            Predicate::Or(vec![a(), Predicate::And(vec![b(), c()])])
        );
        assert_eq!(
            parse("(a=1 or b='x''y') and not \"c d\" is not null"),
            Predicate::And(vec![Predicate::Or(vec![a(), b()]), Predicate::Not(Box::new(c()))])
        );
        assert_eq!(parse("punsafe < 0.1 and ok = true").columns(), ["ok", "punsafe"].into());
    }

    #[test]
    fn a_text_that_is_not_a_condition_is_refused_with_its_position() {
        for text in
            ["", "a", "a =", "a = b", "= 1", "a = 1 b", "(a = 1", "a = 'x", "a ~ 1", "a is 1", "a = 1..2"]
        {
            assert!(Predicate::parse(text).is_err(), "{text}");
        }
    }
    #[test]
    fn brackets_are_bounded_and_long_conditions_are_not_deep() {
        let inside = |count: usize| format!("{}a = 1{}", "(".repeat(count), ")".repeat(count));
        assert!(Predicate::parse(&inside(100)).is_ok());
        for text in [inside(101), inside(1_000_000), format!("{}a = 1", "not ".repeat(1_000_000))] {
            assert_eq!(Predicate::parse(&text), Err(PredicateError::Nested { limit: 100 }));
        }
        let long = Predicate::parse(&vec!["a = 1"; 200_000].join(" or ")).unwrap();
        assert_eq!(long.columns(), ["a"].into());
        assert_eq!(long.clone(), long);
    }
}
