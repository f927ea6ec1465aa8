#![allow(clippy::unwrap_used)]

use super::*;
use arrow::array::{Float32Array, Float64Array, Int64Array, NullArray, StringArray, UInt64Array};
use std::sync::Arc;

fn rows(columns: Vec<(&str, ArrayRef)>, text: &str) -> Vec<bool> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    selected(&Predicate::parse(text).unwrap(), &batch).unwrap()
}

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

#[test]
fn a_column_without_values_compares_as_unknown_and_is_null() {
    let nothing = || -> Vec<(&str, ArrayRef)> { vec![("x", Arc::new(NullArray::new(2)))] };
    for text in [
        "x < 0.1",
        "x = 'a'",
        "not x > 5",
        "x != true",
        "x is not null",
        "not x is null",
        "x = 1 and x is null",
    ] {
        assert_eq!(rows(nothing(), text), [false, false], "{text}");
    }
    for text in ["x is null", "not x > 0.1 or x is null"] {
        assert_eq!(rows(nothing(), text), [true, true], "{text}");
    }
}

#[test]
fn minus_zero_is_zero_and_nan_is_above_all_numbers() {
    let f = || -> Vec<(&str, ArrayRef)> {
        vec![("f", Arc::new(Float64Array::from(vec![0.0, -0.0, 1.0, -1.0, f64::NAN, f64::INFINITY])))]
    };
    assert_eq!(rows(f(), "f = 0"), [true, true, false, false, false, false]);
    assert_eq!(rows(f(), "f = -0.0"), [true, true, false, false, false, false]);
    assert_eq!(rows(f(), "f >= 0"), [true, true, true, false, true, true]);
    assert_eq!(rows(f(), "f < 0"), [false, false, false, true, false, false]);
    assert_eq!(rows(f(), "f != 0"), [false, false, true, true, true, true]);
    assert_eq!(rows(f(), "f = 'nan'"), [false, false, false, false, true, false]);
    assert_eq!(rows(f(), "f > 'inf'"), [false, false, false, false, true, false]);
}

#[test]
fn integers_and_floats_match_the_literal_and_no_neighbouring_value() {
    let i: ArrayRef = Arc::new(Int64Array::from(vec![1 << 53, (1 << 53) + 1, i64::MAX]));
    let u: ArrayRef = Arc::new(UInt64Array::from(vec![0, u64::MAX - 1, u64::MAX]));
    let s: ArrayRef = Arc::new(Float32Array::from(vec![0.1, 0.25, 16_777_216.0]));
    let columns = || vec![("i", Arc::clone(&i)), ("u", Arc::clone(&u)), ("s", Arc::clone(&s))];
    assert_eq!(rows(columns(), "i = 9007199254740993"), [false, true, false]);
    assert_eq!(rows(columns(), "i > 9007199254740992.5"), [false, true, true]);
    assert_eq!(rows(columns(), "i < 9223372036854775808"), [true, true, true]);
    assert_eq!(rows(columns(), "u = 18446744073709551615"), [false, false, true]);
    assert_eq!(rows(columns(), "u > -1"), [true, true, true]);
    assert_eq!(rows(columns(), "s = 0.1"), [true, false, false]);
    assert_eq!(rows(columns(), "s = 1e-1"), [false, false, false]);
}
