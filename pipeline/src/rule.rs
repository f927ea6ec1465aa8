//! The rule of a job: which images get captions, which texts are judged, and which are kept.

use crate::frames::Frames;
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
    /// Frames of each row, of a job with clips.
    pub frames: Option<Frames>,
}

impl Rule {
    /// The rule of a job's settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            filter: settings.filter.clone(),
            captioner: settings.captioner.clone(),
            job_seed: settings.job.seed,
            embeddings: settings.output.embeddings,
            frames: frames(settings),
        }
    }
}

/// Frames of each row of a job with clips; `None` for images.
pub fn frames(settings: &Settings) -> Option<Frames> {
    let count = settings.input.frames? as usize;
    Some(Frames { count, matching: settings.filter.frames })
}
