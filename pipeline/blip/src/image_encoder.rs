//! Pixels to image states. Captioner and filter each have one encoder.

use capfilt_pipeline::model::PixelBatch;
use tch::{Device, Tensor};

use crate::{error::ComputeError, precision::DevicePrecision, preprocess::Normalisation, vit::VisionTower};

/// A vision tower with the normalisation of its training and its device.
pub struct ImageEncoder {
    pub tower: VisionTower,
    pub normalisation: Normalisation,
    pub device: Device,
    pub precision: DevicePrecision,
    /// Side of the input images, in pixels.
    pub side: usize,
}

impl ImageEncoder {
    /// Computes image states (images, 1 + patches, d) of a batch that is not empty. Of a clip, the tokens of
    /// its frames are concatenated (BLIP, section 5.5): (clips, frames · (1 + patches), d).
    pub fn states(&self, images: &PixelBatch) -> Result<Tensor, ComputeError> {
        if images.side() != self.side {
            return Err(ComputeError::Input(format!(
                "the images are {0}x{0} pixels, the model takes {1}x{1}",
                images.side(),
                self.side
            )));
        }
        let pixels_norm = self.normalisation.apply(images, self.device, self.precision.kind())?;
        let states = self.tower.forward(&pixels_norm)?;
        let (frames, (_, tokens, d)) = (images.frames().count as i64, states.size3()?);
        Ok(if frames == 1 { states } else { states.f_reshape([-1, frames * tokens, d])? })
    }
}
