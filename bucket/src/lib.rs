#![doc = include_str!("../README.md")]

mod bucket;
mod commits;
mod create;
mod error;
pub mod footer;
mod listing;
pub mod models;
mod patient;
mod pinned;
mod pinned_parquet;
mod place;

pub use bucket::Bucket;
pub use commits::{Committed, Listed, Results, commit, listed_results, results};
pub use create::Creation;
pub use error::BucketError;
pub use pinned::PinnedObject;
pub use place::{Place, user_of, without_secrets};
