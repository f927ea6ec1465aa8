//! State of a bootstrap loop: the finished steps and their inputs.

use serde::{Deserialize, Serialize};

/// Version of the state.
pub const VERSION: u32 = 1;

/// Name of the state's file in the loop's folder.
pub const STATE: &str = "loop.json";

/// `loop.json`: the finished steps, each once, in the order of their last execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Finished steps.
    pub steps: Vec<Done>,
}

impl Default for LoopState {
    fn default() -> Self {
        Self { version: VERSION, steps: Vec::new() }
    }
}

/// A finished step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Name of the step, such as `round-1/pretrain`.
    pub step: String,
    /// Digest of all inputs: settings, data, models.
    pub inputs: String,
    /// The model's folder, or the job's URL.
    pub made: String,
    /// Digest of the result: of the model's weights, or of the job's kept pairs.
    pub digest: String,
}

impl LoopState {
    /// The last execution of a step.
    pub fn find(&self, step: &str) -> Option<&Done> {
        self.steps.iter().find(|done| done.step == step)
    }

    /// Notes a finished step.
    pub fn note(&mut self, done: Done) {
        self.steps.retain(|other| other.step != done.step);
        self.steps.push(done);
    }
}
