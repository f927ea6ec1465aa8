//! CLIP: loading, and scores of image files.

use crate::family::ModelOptions;
use capfilt_blip::ClipScorer;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_pipeline::{
    image_file,
    model::{DualEncoder, clip_score},
};
use std::path::Path;

/// Loads a CLIP from a folder of transformers' `CLIPModel` or of OpenCLIP. The preset is BLIP's and not used.
///
/// # Errors
/// Names the file or option that is wrong, and why.
pub fn load(path: &Path, options: ModelOptions) -> anyhow::Result<Box<dyn DualEncoder>> {
    Ok(Box::new(ClipScorer::load(path, options.device, options.precision)?))
}

/// CLIP scores of texts for an image file with these bytes: 100 × the cosine.
///
/// # Errors
/// A file that is not an image, and a failing model.
pub fn scores(
    clip: &mut dyn DualEncoder,
    path: &Path,
    bytes: &[u8],
    texts: &[String],
) -> Result<Vec<f32>, Failure> {
    let pixels = image_file::pixels(path, bytes, clip.square()).or_usage_error()?;
    let image = clip.images(&pixels).or_environment_error()?.swap_remove(0);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = clip.texts(&texts, 1).or_environment_error()?;
    Ok(vectors.iter().map(|text| clip_score(&image, text)).collect())
}
