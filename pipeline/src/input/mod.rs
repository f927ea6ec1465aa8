//! Reading of the input: from a shard, with the job's columns and condition, to samples.
//!
//! `shard_reader.rs` chooses the reader of the file's format: `parquet/`, or `sample_reader.rs` for
//! the formats without types, whose files are in `formats/`. The other files serve every format.

mod control;
mod error;
mod formats;
mod image_pairs;
mod images;
mod input_columns;
mod links;
mod ordering;
mod pairs;
mod parquet;
mod sample;
mod sample_reader;
mod samples;
mod selection;
mod shard_reader;

pub use capfilt_links::Link;
pub use error::{ColumnError, ReadError};
pub use image_pairs::{PairColumns, SecondImage};
pub use images::fetch_named_image;
pub use input_columns::{InputColumns, READING_BYTES};
pub use links::{EarlierImage, EarlierImages, Links, ReadOut};
pub use pairs::{CleanedRow, CleanedRows, Judged, KeptText, PairsReader};
pub use sample::{ImageInput, Origin, Rows, Sample, SourceText, TextInput};
pub(crate) use selection::selected;
pub use shard_reader::ShardReader;
