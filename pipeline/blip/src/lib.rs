#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answerer;
mod calibration;
mod captioner;
pub mod checkpoint;
pub mod clip;
pub mod config;
pub mod cost_model;
pub mod cross_attention;
mod dense;
mod device;
mod error;
mod filter;
mod frames;
pub mod generate;
pub mod heads;
mod image_encoder;
pub mod layers;
mod load;
pub mod names;
pub mod pair_text;
mod pickle;
pub mod precision;
pub mod preprocess;
mod preset;
mod processor;
mod reasoner;
pub mod role;
mod small_file;
pub mod tensor_file;
pub mod text;
mod text_batch;
mod tokenizer_file;
pub mod tokens;
mod torch_archive;
pub mod twin_attention;
pub mod vit;
pub mod weight_files;
pub mod weights;
mod weights_error;

pub use answerer::{AnswerList, BlipAnswerer, Question};
pub use calibration::{Calibration, TEMPERATURES, VERSION as CALIBRATION_VERSION};
pub use capfilt_kernels::{features as cpu_features, libtorch_version, supported as cpu_has_kernels};
pub use captioner::BlipCaptioner;
pub use clip::ClipScorer;
pub use device::DeviceChoice;
pub use error::{ComputeError, LoadError};
pub use filter::BlipFilter;
pub use frames::{SplitFrames, SplitInputs};
pub use generate::{BeamLength, GenerationOptions, rank::Ranked};
pub use load::LoadOptions;
pub use precision::DevicePrecision;
pub use preset::{FirstToken, Options, Padding};
pub use reasoner::{BlipReasoner, Statement};
pub use text_batch::TextBatch;

/// Keeps the number of threads of the calling thread's libtorch operations, which OMP_NUM_THREADS or the
/// cores decide. Without this call MKL may take fewer threads, and rounding depends on their number.
pub fn keep_threads() {
    tch::set_num_threads(tch::get_num_threads());
}

/// Sets the number of threads of one libtorch operation, for the whole process.
pub fn set_threads(threads: usize) {
    tch::set_num_threads(i32::try_from(threads.max(1)).unwrap_or(i32::MAX));
}
