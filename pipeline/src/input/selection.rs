//! `input.where` over the rows of a batch, with SQL's three-valued logic.

use super::ColumnError;
use arrow::{
    array::{Array, ArrayRef, BooleanArray, Datum, Float64Array, RecordBatch, StringArray},
    compute::{
        and_kleene, cast, is_not_null, is_null,
        kernels::cmp::{eq, gt, gt_eq, lt, lt_eq, neq},
        not, or_kleene,
    },
    datatypes::DataType,
    error::ArrowError,
};
use capfilt_schemas::predicate::{Literal, Operator, Predicate};

/// Which rows satisfy the condition; unknown counts as no.
pub(super) fn selected(predicate: &Predicate, batch: &RecordBatch) -> Result<Vec<bool>, ColumnError> {
    Ok(evaluate(predicate, batch)?.iter().map(|row| row.unwrap_or(false)).collect())
}

fn evaluate(predicate: &Predicate, batch: &RecordBatch) -> Result<BooleanArray, ColumnError> {
    let joined = |a: &Predicate, b: &Predicate, join: fn(&BooleanArray, &BooleanArray) -> Result<_, ArrowError>| {
        join(&evaluate(a, batch)?, &evaluate(b, batch)?).map_err(|error| problem("", error))
    };
    match predicate {
        Predicate::And(a, b) => joined(a, b, and_kleene),
        Predicate::Or(a, b) => joined(a, b, or_kleene),
        Predicate::Not(a) => not(&evaluate(a, batch)?).map_err(|error| problem("", error)),
        Predicate::IsNull { column, negated } => {
            let test = if *negated { is_not_null } else { is_null };
            test(find(batch, column)?).map_err(|error| problem(column, error))
        }
        Predicate::Compare { column, operator, literal } => {
            compare(find(batch, column)?, *operator, literal).map_err(|error| problem(column, error))
        }
    }
}

fn compare(column: &ArrayRef, operator: Operator, literal: &Literal) -> Result<BooleanArray, ArrowError> {
    let scalar: (DataType, Box<dyn Datum>) = match literal {
        // Integers above 2^53 compare as their nearest double, like in most engines that see a decimal literal.
        Literal::Number(number) => (DataType::Float64, Box::new(Float64Array::new_scalar(*number))),
        Literal::Text(text) => (DataType::Utf8, Box::new(StringArray::new_scalar(text))),
        Literal::Bool(value) => (DataType::Boolean, Box::new(BooleanArray::new_scalar(*value))),
    };
    if !literal.fits(column.data_type()) && column.null_count() < column.len() {
        return Err(ArrowError::CastError(format!("is {} and cannot be compared with {literal}", column.data_type())));
    }
    let column = cast(column, &scalar.0)?;
    let test = match operator {
        Operator::Equal => eq,
        Operator::NotEqual => neq,
        Operator::Less => lt,
        Operator::LessOrEqual => lt_eq,
        Operator::Greater => gt,
        Operator::GreaterOrEqual => gt_eq,
    };
    test(&column, scalar.1.as_ref())
}

fn find<'a>(batch: &'a RecordBatch, column: &str) -> Result<&'a ArrayRef, ColumnError> {
    let missing = || ColumnError { column: column.to_owned(), problem: "of input.where is not there".to_owned() };
    batch.column_by_name(column).ok_or_else(missing)
}

fn problem(column: &str, error: ArrowError) -> ColumnError {
    let problem = match error {
        ArrowError::CastError(message) => message,
        other => other.to_string(),
    };
    ColumnError { column: column.to_owned(), problem: format!("of input.where {problem}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;
    use std::sync::Arc;

    #[test]
    fn a_row_is_selected_only_when_the_condition_is_true_not_when_it_is_unknown() {
        let status: ArrayRef =
            Arc::new(StringArray::from(vec![Some("success"), Some("failed"), None, Some("success")]));
        let width: ArrayRef = Arc::new(Int64Array::from(vec![Some(300), Some(300), Some(300), None]));
        let batch = RecordBatch::try_from_iter([("status", status), ("width", width)]).unwrap();
        let rows = |text| selected(&Predicate::parse(text).unwrap(), &batch).unwrap();
        assert_eq!(rows("status = 'success'"), [true, false, false, true]);
        assert_eq!(rows("status = 'success' and width >= 256"), [true, false, false, false]);
        assert_eq!(rows("not (status = 'success' and width >= 256)"), [false, true, false, false]);
        assert_eq!(rows("status != 'success' or width is null"), [false, true, false, true]);
        assert!(selected(&Predicate::parse("width = 'wide'").unwrap(), &batch).is_err());
        assert!(selected(&Predicate::parse("height > 1").unwrap(), &batch).is_err());
    }
}
