//! The state of a loop: which steps were done, from what.

use serde::{Deserialize, Serialize};

/// Version of the state.
pub const VERSION: u32 = 1;

/// Name of the state's file in the loop's folder.
pub const STATE: &str = "loop.json";

/// `loop.json`: the steps that were done, each once, in the order in which they were done last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    pub version: u32,
    pub steps: Vec<Done>,
}

impl Default for LoopState {
    fn default() -> Self {
        Self { version: VERSION, steps: Vec::new() }
    }
}

/// A step that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// `round-1/pretrain`.
    pub step: String,
    /// Digest of all it was made from: settings, data, models.
    pub inputs: String,
    /// The model's folder, or the job's URL.
    pub made: String,
    /// Digest of what it made: of the model's weights, or of the pairs that the job kept.
    pub digest: String,
}

impl LoopState {
    /// A step as it was done last.
    pub fn find(&self, step: &str) -> Option<&Done> {
        self.steps.iter().find(|done| done.step == step)
    }

    /// Notes that a step was done.
    pub fn note(&mut self, done: Done) {
        self.steps.retain(|other| other.step != done.step);
        self.steps.push(done);
    }
}
