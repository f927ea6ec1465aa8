//! Values that decide a run's weights: their digest, and the seeds of its batches.

use capfilt_schemas::settings::{
    Precision,
    train::{Task, Training},
};
use sha2::{Digest as _, Sha256};

use crate::data::Dataset;

/// Seed of a batch: a function of its position in the run, so that a resumed run gets the same random
/// numbers.
pub(crate) fn seed_of(seed: u64, step: u64, part: u32) -> i64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(step.to_le_bytes());
    hash.update(part.to_le_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    i64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// Digest of the values that decide a run's weights. Output folder, intervals and device may change when a
/// run resumes.
pub(crate) fn digest(task: Task, settings: &Training, dataset: &Dataset) -> String {
    let mut settings = settings.without_bookkeeping();
    (settings.run.max_steps, settings.run.save_precision) = (0, Precision::F32);
    let text = serde_json::to_string(&settings).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [task.name(), text.as_str(), dataset.version()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
