//! Reading of Parquet: from a shard's row groups, with the job's columns and condition, to samples.

mod bounds;
mod columns;
mod file;
mod notes;
mod parts;
mod piece;
mod reader;
mod restore;
mod row_group;
mod sizing;
mod source;
mod views;

pub(super) use reader::ParquetReader;
