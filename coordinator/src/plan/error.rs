//! Errors of planning.

use capfilt_schemas::{
    plan::{INPUT_NAMES, ShardId},
    predicate::PredicateError,
};
use capfilt_store::StoreError;

/// Reason why a job cannot be planned.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum PlanError {
    #[error(
        "{url}: there is no input file; input.url names one {INPUT_NAMES} file, a folder or prefix with such \
         files (tables of records only under the name `metadata`) or images below it, or files by a pattern \
         with braces"
    )]
    NoFiles { url: String },
    #[error("{url}: none of {files} files can be used; the first, {path}: {reason}")]
    NothingUsable { url: String, files: usize, path: String, reason: String },
    #[error(
        "input file {path} changed while it was being planned ({why}); plan again when the input no longer \
         changes"
    )]
    Moving { path: String, why: String },
    #[error("two shards have the id {0}; this is a one in 10^12 chance: change shards.rows a little")]
    SameId(ShardId),
    #[error(transparent)]
    Where(#[from] PredicateError),
    #[error(transparent)]
    Location(#[from] StoreError),
}

impl PlanError {
    /// Whether the settings are at fault rather than the store.
    pub fn is_of_settings(&self) -> bool {
        matches!(self, Self::NoFiles { .. } | Self::NothingUsable { .. } | Self::Where(_))
    }
}
