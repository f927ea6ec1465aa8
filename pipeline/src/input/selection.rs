//! Evaluation of `input.where` over the rows of a batch, with SQL's three-valued logic.

use super::ordering::orderings;
use crate::input::ColumnError;
use arrow::{
    array::{Array as _, ArrayRef, BooleanArray, RecordBatch},
    compute::{and_kleene, not, or_kleene},
    error::ArrowError,
};
use capfilt_schemas::predicate::{Literal, Operator, Predicate};
use std::cmp::Ordering;

/// Rows that satisfy the condition; unknown counts as false.
pub(crate) fn selected(predicate: &Predicate, batch: &RecordBatch) -> Result<Vec<bool>, ColumnError> {
    Ok(evaluate(predicate, batch)?.iter().map(|row| row.unwrap_or(false)).collect())
}

/// Recursive; the parser limits the depth of brackets in a condition.
fn evaluate(predicate: &Predicate, batch: &RecordBatch) -> Result<BooleanArray, ColumnError> {
    type Join = fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, ArrowError>;
    let joined = |parts: &[Predicate], join: Join, neutral: bool| {
        let all = BooleanArray::from(vec![neutral; batch.num_rows()]);
        parts.iter().try_fold(all, |all, part| {
            join(&all, &evaluate(part, batch)?).map_err(|error| problem("", error.to_string()))
        })
    };
    match predicate {
        Predicate::And(parts) => joined(parts, and_kleene, true),
        Predicate::Or(parts) => joined(parts, or_kleene, false),
        Predicate::Not(part) => not(&evaluate(part, batch)?).map_err(|error| problem("", error.to_string())),
        Predicate::IsNull { column, negated } => {
            let cells = find(batch, column)?;
            // Arrays of type Null have no bitmap; only their logical nulls count.
            let nulls = cells.logical_nulls();
            let is_null = |row| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
            Ok((0..cells.len()).map(|row| Some(is_null(row) != *negated)).collect())
        }
        Predicate::Compare { column, operator, literal } => {
            compare(find(batch, column)?, *operator, literal).map_err(|message| problem(column, message))
        }
    }
}

fn compare(column: &ArrayRef, operator: Operator, literal: &Literal) -> Result<BooleanArray, String> {
    let comparand = literal.against(column.data_type())?;
    let orders = orderings(column, &comparand).map_err(|error| error.to_string())?;
    Ok(orders.into_iter().map(|order| order.map(|order| holds(operator, order))).collect())
}

/// Whether a comparison is true for cells with this order to the literal.
pub(super) fn holds(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    }
}

fn find<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a ArrayRef, ColumnError> {
    batch.column_by_name(column).ok_or_else(|| problem(column, "is not there".to_owned()))
}

fn problem(column: &str, message: String) -> ColumnError {
    ColumnError { column: column.to_owned(), problem: format!("of input.where {message}") }
}

#[cfg(test)]
#[path = "selection/tests.rs"]
mod tests;
