//! Decides from the statistics of the file's footer whether a row group can have a row that `input.where`
//! selects.
//!
//! Only reliable statistics are used: a bound that is missing, NaN, or of an unknown order is ignored.

use super::restore::restore;
use crate::input::{ordering::orderings, selection::holds};
use arrow::{
    array::{Array as _, ArrayRef},
    datatypes::{DataType, Schema},
};
use capfilt_schemas::predicate::{Comparand, Literal, Operator, Predicate};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, statistics::StatisticsConverter},
    basic::{ColumnOrder, Type as Physical},
};
use std::cmp::Ordering;

/// Values that a condition can have for some row of the group. A condition can also be unknown (SQL's NULL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Possible {
    yes: bool,
    no: bool,
}

const ANY: Possible = Possible { yes: true, no: true };

/// A row group, with the stored types and the schema types of its columns.
pub(super) struct Group<'a> {
    pub metadata: &'a ArrowReaderMetadata,
    pub promised: &'a Schema,
    pub group: usize,
}

/// Whether the condition can be true for a row of the group.
pub(super) fn may_select(predicate: &Predicate, group: &Group<'_>) -> bool {
    group.possible(predicate).yes
}

/// Statistics of one column in one row group.
struct Column {
    /// Arrays of one value, or null if the bound is unknown.
    min: ArrayRef,
    max: ArrayRef,
    nulls: Option<u64>,
    rows: u64,
    promised: DataType,
}

impl Group<'_> {
    fn possible(&self, predicate: &Predicate) -> Possible {
        let all = |parts: &[Predicate]| parts.iter().map(|part| self.possible(part)).collect::<Vec<_>>();
        match predicate {
            Predicate::And(parts) => {
                let parts = all(parts);
                Possible { yes: parts.iter().all(|part| part.yes), no: parts.iter().any(|part| part.no) }
            }
            Predicate::Or(parts) => {
                let parts = all(parts);
                Possible { yes: parts.iter().any(|part| part.yes), no: parts.iter().all(|part| part.no) }
            }
            Predicate::Not(part) => {
                let Possible { yes, no } = self.possible(part);
                Possible { yes: no, no: yes }
            }
            Predicate::IsNull { column, negated } => {
                let Possible { yes, no } = self.column(column).map_or(ANY, |column| column.is_null());
                if *negated { Possible { yes: no, no: yes } } else { Possible { yes, no } }
            }
            Predicate::Compare { column, operator, literal } => {
                let compared = self.column(column).and_then(|column| column.compared(*operator, literal));
                compared.unwrap_or(ANY)
            }
        }
    }

    fn column(&self, name: &str) -> Option<Column> {
        let stored = self.metadata.parquet_schema();
        let converter = StatisticsConverter::try_new(name, self.metadata.schema(), stored).ok()?;
        let leaf = converter.parquet_column_index()?;
        let group = self.metadata.metadata().row_group(self.group);
        let statistics = group.column(leaf).statistics()?;
        let orders = self.metadata.metadata().file_metadata().column_orders();
        let is_ordered = matches!(orders?.get(leaf)?, ColumnOrder::TYPE_DEFINED_ORDER(_));
        let promised = self.promised.field_with_name(name).ok()?.data_type().clone();
        // Statistics of INT96 have a different order, and the order of the oldest form of statistics depends
        // on the writer.
        let is_int96 =
            stored.column(leaf).physical_type() == Physical::FIXED_LEN_BYTE_ARRAY && promised.is_temporal();
        if !is_ordered || is_int96 || statistics.is_min_max_deprecated() {
            return None;
        }
        let bound = |bound: ArrayRef| restore(&bound, &promised).ok().map(|restored| restored.array);
        Some(Column {
            min: bound(converter.row_group_mins([group]).ok()?)?,
            max: bound(converter.row_group_maxes([group]).ok()?)?,
            nulls: statistics.null_count_opt(),
            rows: u64::try_from(group.num_rows()).ok()?,
            promised,
        })
    }
}

impl Column {
    fn has_values(&self) -> bool {
        self.nulls != Some(self.rows)
    }

    fn is_null(&self) -> Possible {
        // A value that is not UTF-8 becomes null when it is read.
        Possible { yes: self.nulls != Some(0) || self.promised.is_string(), no: self.has_values() }
    }

    /// Returns `None` without usable statistics.
    fn compared(&self, operator: Operator, literal: &Literal) -> Option<Possible> {
        if !self.has_values() {
            return Some(Possible { yes: false, no: false });
        }
        let comparand = literal.against(&self.promised).ok()?;
        let order = |bound: &ArrayRef| orderings(bound, &comparand).ok()?.first().copied().flatten();
        let (min, max) = (order(&self.min)?, order(&self.max)?);
        if self.promised.is_floating() && (is_nan(&self.min) || is_nan(&self.max)) {
            return None;
        }
        // Statistics do not include NaN, which is larger than all numbers.
        let has_nan = self.promised.is_floating();
        let possible = [
            (Ordering::Less, min.is_lt()),
            (Ordering::Equal, min.is_le() && max.is_ge() || has_nan && is_nan_literal(&comparand)),
            (Ordering::Greater, max.is_gt() || has_nan),
        ];
        let orders = || possible.iter().filter(|(_, possible)| *possible).map(|(order, _)| *order);
        let yes = orders().any(|order| holds(operator, order));
        Some(Possible { yes, no: orders().any(|order| !holds(operator, order)) })
    }
}

fn is_nan(bound: &ArrayRef) -> bool {
    let compared = orderings(bound, &Comparand::Double(f64::NAN)).ok();
    bound.len() != 1 || compared.is_none_or(|orders| orders[0].is_none_or(Ordering::is_eq))
}

fn is_nan_literal(comparand: &Comparand) -> bool {
    match comparand {
        Comparand::Single(value) => value.is_nan(),
        Comparand::Double(value) => value.is_nan(),
        _ => false,
    }
}
