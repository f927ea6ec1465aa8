//! Samples of each licence, by a pass-through column.

use super::{
    ExportError,
    kinds::{self, Kind},
    source::Source,
};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Most licences. A column with more values is not one of licences; the counts are in memory and in the
/// record.
const MOST: usize = 1000;

/// Checks that every source has the column.
///
/// # Errors
/// A source does not have it.
pub(crate) fn check(sources: &[Source], column: &str) -> Result<(), ExportError> {
    match sources.iter().find(|source| !source.passes(column)) {
        Some(source) => {
            let (url, column) = (source.record.url().to_owned(), column.to_owned());
            Err(ExportError::NoLicences { url, column })
        }
        None => Ok(()),
    }
}

/// Counts the licence of a sample; a sample without a value counts as the empty text.
///
/// # Errors
/// The column has too many values.
pub(crate) fn count(
    licences: &mut BTreeMap<String, u64>,
    column: &str,
    values: &Map<String, Value>,
) -> Result<(), ExportError> {
    let licence = Kind::Text.value(values.get(&kinds::name_of(column)));
    add(licences, column, licence.as_str().unwrap_or_default(), 1)
}

/// Adds counts of other samples.
///
/// # Errors
/// The column has too many values.
pub(crate) fn merge(
    licences: &mut BTreeMap<String, u64>,
    column: &str,
    others: &BTreeMap<String, u64>,
) -> Result<(), ExportError> {
    others.iter().try_for_each(|(licence, samples)| add(licences, column, licence, *samples))
}

fn add(
    licences: &mut BTreeMap<String, u64>,
    column: &str,
    licence: &str,
    samples: u64,
) -> Result<(), ExportError> {
    *licences.entry(licence.to_owned()).or_default() += samples;
    if licences.len() > MOST {
        return Err(ExportError::ManyLicences { column: column.to_owned(), most: MOST });
    }
    Ok(())
}
