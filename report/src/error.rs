//! Reasons why a report cannot be made.

use crate::truth_table::TruthError;
use capfilt_coordinator::{JobError, outputs::OutputsError};
use capfilt_pipeline::output::LedgerError;

/// Reason why a report cannot be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum ReportError {
    #[error(transparent)]
    Outputs(#[from] OutputsError),
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(
        "the ledgers of the job at {url} do not have the counts of its {record}: {difference}; \
         `capfilt verify --job {url}` lists the faults"
    )]
    Unbalanced { url: String, record: &'static str, difference: String },
    #[error(transparent)]
    Truth(#[from] TruthError),
    #[error("a task of the report ended early")]
    Task(#[from] tokio::task::JoinError),
    #[error("cannot write {path}")]
    Page { path: String, source: std::io::Error },
}
