#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod adamw;
mod answers;
mod blocks;
mod checkpoint;
mod contrast;
pub mod data;
mod error;
mod language;
mod learner;
pub mod lineage;
mod lock;
mod matching;
mod metrics;
pub mod model_files;
mod momentum;
mod parameters;
mod plot;
mod report;
mod run;
mod run_digest;
mod schedule;
mod setup;
mod start;
mod statements;
mod tensors;
mod texts;
mod towers;
mod train_log;

pub use error::TrainError;
pub use metrics::Line;
pub use report::Report;
pub use run::{Event, Outcome, train};

// Parts of a training step, which the tests compare with PyTorch.
pub use adamw::AdamW;
pub use answers::AnswerRows;
pub use checkpoint::State;
pub use contrast::FeatureQueue;
pub use learner::{Learner, Memory, Prepared, StepShape};
pub use matching::Negatives;
pub use momentum::MomentumTowers;
pub use parameters::{Layout, Parameters};
pub use schedule::{Place, alpha, learning_rate};
pub use start::Start;
pub use texts::{RandomWords, TextRows};
pub use towers::{Attends, Parts};
