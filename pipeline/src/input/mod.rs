//! Reading of Parquet: from a shard's row groups, with the job's columns and condition, to samples.

mod bounds;
mod columns;
mod control;
mod error;
mod file;
mod images;
mod input_columns;
mod notes;
mod ordering;
mod pairs;
mod parts;
mod piece;
mod reader;
mod restore;
mod row_group;
mod sample;
mod selection;
mod sizing;
mod source;
mod views;

pub use columns::ColumnError;
pub use error::ReadError;
pub use images::fetch_named_image;
pub use input_columns::{InputColumns, READING_BYTES};
pub use pairs::{CleanedRow, CleanedRows, KeptText, PairsReader};
pub use reader::ShardReader;
pub use sample::{ImageInput, Origin, Rows, Sample, TextInput};
