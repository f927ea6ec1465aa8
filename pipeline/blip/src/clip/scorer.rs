//! CLIP behind the pipeline's trait.

use std::path::Path;

use capfilt_pipeline::{
    framing::Square,
    model::{DualEncoder, ModelError, PixelBatch},
};
use capfilt_schemas::settings::Precision;
use tch::Tensor;

use super::{
    checkpoint::ClipCheckpoint, config::ClipConfig, text::ClipText, tokens::ClipTokens, vision::ClipVision,
};
use crate::{
    device::DeviceChoice,
    error::{ComputeError, LoadError},
    precision::{self, DevicePrecision},
    preprocess::Normalisation,
    text_batch::TextBatch,
};

/// Texts of one call. With 77 tokens and a feed-forward layer of ViT-L/14's text encoder (3072) in f32, its
/// largest tensor has 121 MB.
const TEXTS_AT_ONCE: usize = 128;

/// Computes the vectors of images and texts with a CLIP.
pub struct ClipScorer {
    vision: ClipVision,
    text: ClipText,
    tokens: ClipTokens,
    config: ClipConfig,
    square: Square,
    normalisation: Normalisation,
    device: tch::Device,
    precision: DevicePrecision,
}

impl ClipScorer {
    /// Loads a folder of transformers' `CLIPModel` or of OpenCLIP, or a file of weights in it.
    ///
    /// # Errors
    /// Names the file or option that is wrong, and why.
    pub fn load(path: &Path, device: DeviceChoice, precision: Precision) -> Result<Self, LoadError> {
        let device = device.resolve().map_err(LoadError::Device)?;
        let precision = precision::resolve(precision, device).map_err(LoadError::Options)?;
        let checkpoint = ClipCheckpoint::open(path)?;
        let path = checkpoint.weights_path();
        let (store, config, preparation, tokens) = checkpoint.into_parts(device, precision.kind());
        let store = store.with_weight_mode(precision.weight_mode());
        let root = store.root();
        let (vision, text) = (ClipVision::load(&root, &config), ClipText::load(&root, &config));
        drop(root);
        store.finish().map_err(|problem| LoadError::Weights { path, problem })?;
        let square = Square { side: config.image_size as usize, framing: preparation.framing };
        let normalisation = preparation.normalisation;
        Ok(Self { vision, text, tokens, config, square, normalisation, device, precision })
    }

    /// Sizes of the model.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// Tokenizer.
    pub fn tokens(&self) -> &ClipTokens {
        &self.tokens
    }

    /// Unit vectors (images, projection) in f32.
    fn image_vectors(&self, images: &PixelBatch) -> Result<Vec<Vec<f32>>, ComputeError> {
        if images.side() != self.square.side {
            let (found, expected) = (images.side(), self.square.side);
            return Err(ComputeError::Input(format!(
                "the images are {found}x{found} pixels, the model takes {expected}x{expected}"
            )));
        }
        let pixels_norm = self.normalisation.apply(images, self.device, self.precision.kind())?;
        rows(&self.vision.forward(&pixels_norm)?)
    }

    /// Unit vectors (texts, projection) in f32 of texts that fit one call.
    fn text_vectors(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ComputeError> {
        let encode = |text: &&str| self.tokens.encode(text).map_err(ComputeError::Input);
        let ids = texts.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let ends: Vec<i64> = ids.iter().map(|ids| self.tokens.end_of(ids) as i64).collect();
        let batch = TextBatch::padded(&ids, self.tokens.end(), None, self.device)?;
        let ends = Tensor::f_from_slice(&ends)?.f_to_device(self.device)?;
        rows(&self.text.forward(&batch.ids, &ends)?)
    }

    fn at_seam<T>(
        &self,
        batch: usize,
        compute: impl FnOnce() -> Result<T, ComputeError>,
    ) -> Result<T, ModelError> {
        tch::no_grad(compute).map_err(|error| error.at_seam(batch, self.precision.name()))
    }
}

impl DualEncoder for ClipScorer {
    fn square(&self) -> Square {
        self.square
    }

    fn images(&mut self, images: &PixelBatch) -> Result<Vec<Vec<f32>>, ModelError> {
        if images.is_empty() {
            return Ok(Vec::new());
        }
        self.at_seam(images.len(), || self.image_vectors(images))
    }

    fn texts(&mut self, texts: &[&str], images: usize) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for part in texts.chunks(TEXTS_AT_ONCE) {
            vectors.extend(self.at_seam(images, || self.text_vectors(part))?);
        }
        Ok(vectors)
    }
}

/// Rows of a matrix of finite numbers.
fn rows(matrix: &Tensor) -> Result<Vec<Vec<f32>>, ComputeError> {
    let width = matrix.size2()?.1 as usize;
    let all = Vec::<f32>::try_from(matrix.f_contiguous()?.f_reshape([-1])?)?;
    if all.iter().any(|number| !number.is_finite()) {
        return Err(ComputeError::NotANumber("vectors of CLIP"));
    }
    Ok(all.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
}
