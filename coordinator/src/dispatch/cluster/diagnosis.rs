//! A worker left since something is wrong. With that machine alone, or with what all of them use?

use crate::{
    job,
    preflight::{self, Unfit},
};
use capfilt_bucket::{Bucket, BucketError, Place, models};
use capfilt_schemas::job::JobRecord;
use futures::future::LocalBoxFuture;

/// Loads a job's models on this machine; why it cannot.
pub type LoadModels = fn(&JobRecord) -> LocalBoxFuture<'_, Result<(), String>>;

/// Something all workers need is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum SharedFault {
    #[error(transparent)]
    Bucket(#[from] Unfit),
    #[error("the weights are not those the job was started with: {}", .0.join("; "))]
    Weights(Vec<String>),
    #[error("the weights cannot be read: {0}")]
    NoWeights(#[from] BucketError),
    #[error("the models do not load: {0}")]
    NoModels(String),
}

/// Tries the bucket, reads the weights and loads them, as a worker does. What may pass is for the workers to
/// sit out.
///
/// # Errors
/// With what is wrong here too; the job should stop then, since every other worker would find the same.
pub(super) async fn look(
    bucket: &Bucket,
    record: &JobRecord,
    load_models: LoadModels,
) -> Result<(), SharedFault> {
    match looked(bucket, record, load_models).await {
        Err(SharedFault::Bucket(unfit)) if unfit.may_pass => Ok(()),
        Err(SharedFault::NoWeights(error)) if error.may_pass() && !error.is_not_found() => Ok(()),
        looked => looked,
    }
}

async fn looked(bucket: &Bucket, record: &JobRecord, load_models: LoadModels) -> Result<(), SharedFault> {
    preflight::require(bucket).await?;
    let models = &record.settings.models;
    let captioner = models::record(&Place::open(&models.captioner)?).await?;
    let filter = models::record(&Place::open(&models.filter)?).await?;
    match job::weights_differences(record, &captioner, &filter) {
        differences if differences.is_empty() => load_models(record).await.map_err(SharedFault::NoModels),
        differences => Err(SharedFault::Weights(differences)),
    }
}
