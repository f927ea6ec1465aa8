//! Samples that consist of members or of one record, and their values by the columns of the settings.
//!
//! The formats of input files have no types for these values: a text is a text, and a condition compares what
//! the text says.

pub(super) mod cells;
pub(super) mod draft;
pub(super) mod places;
