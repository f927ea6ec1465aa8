//! Results of a finished job, shard by shard, for training and export: its pairs, with the cosines from its
//! ledger and, if the job keeps images by reference, with the images from its input.

mod reader;
mod reference;

pub use reader::{CleanedReader, ShardTables, Wanted};
pub use reference::{Referenced, image_in_input, is_judged};
