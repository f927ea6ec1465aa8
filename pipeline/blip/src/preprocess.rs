//! Conversion of image bytes to the vision tower's input: (images, 3, side, side) on the device, normalised
//! per channel.

use capfilt_pipeline::model::PixelBatch;
use tch::{Device, Kind, TchError, Tensor};

/// Factor that maps pixels of 0 to 255 to 0 to 1.
pub(crate) const RESCALE_FACTOR: f64 = 1.0 / 255.0;

/// Normalisation of the pixels of a resized image: `(pixel · factor − mean) / std`, per channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    /// Factor of a pixel of 0 to 255, applied before mean and standard deviation.
    pub factor: f64,
    /// Mean and standard deviation per channel of the training pixels, after multiplication with `factor`.
    pub mean: [f64; 3],
    /// Standard deviation per channel.
    pub std: [f64; 3],
    /// Side in pixels of the images, if the processor's file has it.
    pub side: Option<i64>,
}

impl Default for Normalisation {
    fn default() -> Self {
        Self {
            factor: RESCALE_FACTOR,
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
            side: None,
        }
    }
}

impl Normalisation {
    /// Converts u8 (n, side, side, 3) to normalised (n, 3, side, side) on the device; n counts all frames of
    /// clips. Only bytes are copied to the device: a quarter of the size of f32.
    pub fn apply(&self, images: &PixelBatch, device: Device, kind: Kind) -> Result<Tensor, TchError> {
        let (n, side) = ((images.len() * images.frames().count) as i64, images.side() as i64);
        let pixels_u8 = Tensor::f_from_data_size(images.pixels_u8(), &[n, side, side, 3], Kind::Uint8)?;
        let pixels = pixels_u8.f_to_device(device)?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        // A division rounds once; a product with 1/255 would round twice.
        let is_usual = self.factor == RESCALE_FACTOR;
        let scaled = if is_usual { pixels.f_div_scalar(255.0)? } else { pixels.f_mul_scalar(self.factor)? };
        let mean = Tensor::f_from_slice(&self.mean)?
            .f_to_kind(Kind::Float)?
            .f_reshape([1, 3, 1, 1])?
            .f_to_device(device)?;
        let std = Tensor::f_from_slice(&self.std)?
            .f_to_kind(Kind::Float)?
            .f_reshape([1, 3, 1, 1])?
            .f_to_device(device)?;
        scaled.f_sub(&mean)?.f_div(&std)?.f_to_kind(kind)?.f_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_normalised_each_with_its_own_mean() {
        let mut batch = PixelBatch::with_capacity(1, 1);
        batch.push(&[255, 0, 51]);
        let norm = Normalisation { mean: [0.5, 0.25, 0.2], std: [0.5, 0.5, 0.1], ..Normalisation::default() };
        let tensor = norm.apply(&batch, Device::Cpu, Kind::Float).unwrap();
        assert_eq!(tensor.size(), [1, 3, 1, 1]);
        let values = Vec::<f32>::try_from(tensor.reshape([3])).unwrap();
        assert!(values.iter().zip([1.0, -0.5, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
    }
}
