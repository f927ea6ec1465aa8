//! The rule of a job: which images get captions, which texts are judged, and which are kept.

use capfilt_schemas::settings::{Captioner, Filter, Settings};

/// Settings of the judgement.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// Threshold of each source, the languages that are judged, and the largest number of words of a cleaned
    /// text that the filter reads.
    pub filter: Filter,
    /// Number of captions per image, the images that get captions, and the number that is kept.
    pub captioner: Captioner,
    /// Seed of the captions' random numbers.
    pub job_seed: u64,
    /// Whether the ledger has the features of images and texts.
    pub embeddings: bool,
}

impl Rule {
    /// The rule of a job's settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            filter: settings.filter.clone(),
            captioner: settings.captioner.clone(),
            job_seed: settings.job.seed,
            embeddings: settings.output.embeddings,
        }
    }
}
