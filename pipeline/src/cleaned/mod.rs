//! What a finished job kept, shard by shard, for training and export: its pairs, with the cosines of its
//! ledger and, where the job keeps images by reference, with the images from its input.

mod reader;
mod reference;

pub use reader::{CleanedReader, ShardTables, Wanted};
pub use reference::Referenced;
