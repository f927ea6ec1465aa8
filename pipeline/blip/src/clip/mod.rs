//! CLIP (Radford et al. 2021, arXiv 2103.00020): two separate encoders, whose cosine is the field's common
//! score of an image and a text. Checkpoints of transformers' `CLIPModel` and of OpenCLIP are read.

mod checkpoint;
mod config;
mod names;
mod processor;
mod scorer;
mod text;
mod tokens;
mod transformer;
mod vision;

pub use config::ClipConfig;
pub use scorer::ClipScorer;
pub use tokens::ClipTokens;
