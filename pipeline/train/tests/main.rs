//! Tests of training: losses, augmentation, formats of model files, and starts from checkpoints.

#![allow(clippy::unwrap_used)]

mod formats;
mod losses;
mod model_files;
mod nlvr;
mod randaugment;
mod start;
mod support;
mod variants;
mod vqa;
