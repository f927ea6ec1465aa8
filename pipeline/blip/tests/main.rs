//! Tests of the model: parity with transformers, layouts of checkpoints, invariance and hostile files.

#![allow(clippy::unwrap_used)]

mod answers;
mod attention;
mod captions;
mod clip;
mod frames;
mod hostile;
mod invariance;
mod layouts;
mod loading;
mod pairs;
mod parity;
mod processor;
mod sampler;
mod support;
#[path = "support/torch_save.rs"]
mod torch_save;
