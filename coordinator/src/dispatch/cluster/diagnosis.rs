//! Decides whether a worker pool's exit is local or global: the coordinator checks, from its own machine, the
//! bucket and the weights that all pools share.

use crate::{
    checkpoints, job,
    preflight::{self, Unfit},
};
use capfilt_schemas::job::{JobRecord, ModelRecord};
use capfilt_store::{Location, StoreError};
use futures::future::LocalBoxFuture;

/// Loads a job's models on this machine; the error is the reason why it cannot.
pub type LoadModels = fn(&JobRecord) -> LocalBoxFuture<'_, Result<(), String>>;

/// Fault of a resource that all worker pools share.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum SharedFault {
    /// The store refuses what a worker pool needs.
    #[error(transparent)]
    Location(#[from] Unfit),
    /// Weights that differ from the job's record.
    #[error("the weights are not those the job was started with: {}", .0.join("; "))]
    Weights(Vec<String>),
    /// Weights that cannot be read.
    #[error("the weights cannot be read: {0}")]
    NoWeights(#[from] StoreError),
    /// Models that do not load.
    #[error("the models do not load: {0}")]
    NoModels(String),
}

/// Tests the bucket, reads the weights and loads them, as a worker process does. Faults that may pass are
/// ignored: worker pools wait for their end.
///
/// # Errors
/// A fault that this machine has too. The job should stop then, because every worker pool would meet the
/// fault.
pub(super) async fn look(
    bucket: &Location,
    record: &JobRecord,
    load_models: LoadModels,
) -> Result<(), SharedFault> {
    match looked(bucket, record, load_models).await {
        Err(SharedFault::Location(unfit)) if unfit.may_pass => Ok(()),
        Err(SharedFault::NoWeights(error)) if error.may_pass() && !error.is_not_found() => Ok(()),
        looked => looked,
    }
}

/// Record of a checkpoint by its URL, or of none.
async fn recorded(url: Option<&String>) -> Result<ModelRecord, StoreError> {
    match url {
        Some(url) => checkpoints::record(&Location::open(url)?).await,
        None => Ok(ModelRecord::none()),
    }
}

async fn looked(bucket: &Location, record: &JobRecord, load_models: LoadModels) -> Result<(), SharedFault> {
    preflight::require(bucket).await?;
    let models = &record.settings.models;
    let captioner = recorded(models.captioner.as_ref()).await?;
    let filter = recorded(Some(&models.filter)).await?;
    let clip = recorded(models.clip.as_ref()).await?;
    match job::weights_differences(record, [&captioner, &filter, &clip]) {
        differences if differences.is_empty() => load_models(record).await.map_err(SharedFault::NoModels),
        differences => Err(SharedFault::Weights(differences)),
    }
}
