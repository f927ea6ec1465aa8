//! From bytes to what the vision tower reads: (images, 3, side, side), each channel normalised, on the device.

use capfilt_pipeline::model::PixelBatch;
use serde::Deserialize;
use tch::{Device, Kind, TchError, Tensor};

/// Mean and standard deviation of the training pixels per channel, on a scale of 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalisation {
    pub mean: [f64; 3],
    pub std: [f64; 3],
    /// Side of the image the preprocessor was configured for, when its file names one.
    pub side: Option<i64>,
}

impl Default for Normalisation {
    fn default() -> Self {
        Self {
            mean: [0.481_454_66, 0.457_827_5, 0.408_210_73],
            std: [0.268_629_54, 0.261_302_58, 0.275_777_11],
            side: None,
        }
    }
}

/// The keys of `preprocessor_config.json` that matter here. The rest of that file (squash to a square, bicubic,
/// 1/255) is the same for every BLIP and is the image preparation's concern.
#[derive(Deserialize)]
struct PreprocessorFile {
    image_mean: Option<[f64; 3]>,
    image_std: Option<[f64; 3]>,
    size: Option<Size>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Side(i64),
    Rectangle { height: i64, width: i64 },
}

impl Normalisation {
    /// Reads `preprocessor_config.json`.
    ///
    /// # Errors
    /// A sentence that names what is wrong.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let file: PreprocessorFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let defaults = Self::default();
        let side = match file.size {
            None => None,
            Some(Size::Side(side)) => Some(side),
            Some(Size::Rectangle { height, width }) if height == width => Some(height),
            Some(Size::Rectangle { height, width }) => {
                return Err(format!("size is {height}x{width}, expected a square"));
            }
        };
        let std = file.image_std.unwrap_or(defaults.std);
        if std.iter().any(|std| *std <= 0.0) {
            return Err(format!("image_std is {std:?}, expected positive numbers"));
        }
        Ok(Self { mean: file.image_mean.unwrap_or(defaults.mean), std, side })
    }

    /// u8 (n, side, side, 3) in memory -> normalised (n, 3, side, side) on the device. Only the bytes travel: a quarter
    /// of what floats would.
    pub fn apply(&self, images: &PixelBatch, device: Device, kind: Kind) -> Result<Tensor, TchError> {
        let (n, side) = (images.len() as i64, images.side() as i64);
        let pixels_u8 = Tensor::f_from_data_size(images.pixels_u8(), &[n, side, side, 3], Kind::Uint8)?;
        let scaled =
            pixels_u8.f_to_device(device)?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?;
        let mean =
            Tensor::f_from_slice(&self.mean)?.f_to_kind(Kind::Float)?.f_reshape([1, 3, 1, 1])?.f_to_device(device)?;
        let std =
            Tensor::f_from_slice(&self.std)?.f_to_kind(Kind::Float)?.f_reshape([1, 3, 1, 1])?.f_to_device(device)?;
        scaled.f_sub(&mean)?.f_div(&std)?.f_to_kind(kind)?.f_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_published_forms_of_the_size_are_read() {
        assert_eq!(Normalisation::from_json(r#"{"size": 384}"#).unwrap().side, Some(384));
        assert_eq!(Normalisation::from_json(r#"{"size": {"height": 56, "width": 56}}"#).unwrap().side, Some(56));
        assert!(Normalisation::from_json(r#"{"size": {"height": 56, "width": 57}}"#).is_err());
    }

    #[test]
    fn channels_are_normalised_each_with_its_own_mean() {
        let mut batch = PixelBatch::with_capacity(1, 1);
        batch.push(&[255, 0, 51]);
        let norm = Normalisation { mean: [0.5, 0.25, 0.2], std: [0.5, 0.5, 0.1], side: None };
        let tensor = norm.apply(&batch, Device::Cpu, Kind::Float).unwrap();
        assert_eq!(tensor.size(), [1, 3, 1, 1]);
        let values = Vec::<f32>::try_from(tensor.reshape([3])).unwrap();
        assert!(values.iter().zip([1.0, -0.5, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{values:?}");
    }
}
