//! Reading of WebDataset tars: from a shard's samples, with the job's columns and condition, to rows.

mod cells;
mod draft;
mod places;
mod reader;

pub(super) use reader::TarReader;
