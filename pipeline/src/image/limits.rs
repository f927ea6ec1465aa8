//! Limits of images, checked before decoding.

use super::ImageSkip;
use capfilt_schemas::settings::Limits;

/// Longest side in pixels, independent of the pixel count: the longest that JPEG supports. It also bounds the
/// resizer's windows.
const LONGEST_SIDE: u32 = 65_535;

/// Decoding may take [`ImageLimits::pixels`] × this number of bytes, plus [`FREE_BYTES`]. A progressive JPEG
/// of three full components, which keeps its coefficients, takes as many.
const BYTES_PER_PIXEL: u64 = 9;
/// Bytes for rows and other memory that does not grow with the pixels.
const FREE_BYTES: u64 = 64 << 20;

/// Limits of an image, checked before decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Length of the encoded image in bytes.
    pub bytes: u64,
    /// Width × height. Decoding takes 3 to 9 bytes per pixel. The few images that take more are refused if
    /// that exceeds 9 × this and 64 MiB, so the default bounds one image to 970 MB.
    /// [`super::peak_decoding_bytes`] computes the bytes of an image; `docs/images.md` has those of each
    /// format.
    pub pixels: u64,
    /// Shorter side in pixels. 1 accepts every image.
    pub min_side: u32,
    /// Whether to apply the EXIF orientation. The reference does not, except for TIFF.
    pub exif_rotation: bool,
    /// A JPEG is decoded at a half, a quarter or an eighth of its sides if both stay at least twice this
    /// long. 0: never.
    ///
    /// libjpeg then drops the high frequencies instead of the resizer; Pillow calls it `draft`. Pixels differ
    /// from the reference's (`configs/job.toml` has the measured differences).
    pub reduced_side: u32,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self { bytes: 50 << 20, pixels: 100_000_000, min_side: 1, exif_rotation: false, reduced_side: 0 }
    }
}

impl ImageLimits {
    /// With the numbers of the settings of a job or a retry.
    pub fn with(self, limits: &Limits) -> Self {
        let Limits { image_bytes, pixels, min_side, .. } = *limits;
        Self { bytes: image_bytes.0, pixels, min_side, ..self }
    }

    /// Checks the size in an image's header.
    pub(super) fn admit(&self, width: u32, height: u32) -> Result<(), ImageSkip> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(ImageSkip::Undecodable(format!("it says it has {width} × {height} pixels")));
        }
        if pixels > self.pixels {
            return Err(ImageSkip::TooLarge(format!(
                "{width} × {height} pixels; limits.pixels is {}",
                self.pixels
            )));
        }
        if width.max(height) > LONGEST_SIDE {
            return Err(ImageSkip::TooLarge(format!(
                "{width} × {height} pixels; no side may be longer than {LONGEST_SIDE}"
            )));
        }
        if width.min(height) < self.min_side {
            return Err(ImageSkip::TooSmall(format!(
                "{width} × {height} pixels; limits.min_side is {}",
                self.min_side
            )));
        }
        Ok(())
    }

    /// Checks the memory of decoding.
    pub(super) fn admit_bytes(&self, bytes: u64) -> Result<(), ImageSkip> {
        let most = self.pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(FREE_BYTES);
        if bytes <= most {
            return Ok(());
        }
        Err(ImageSkip::TooLarge(format!("decoding takes {bytes} bytes; limits.pixels allows {most}")))
    }

    /// Checks a part of an image: a frame, a tile.
    pub(super) fn admit_part(&self, width: u32, height: u32) -> Result<(), ImageSkip> {
        Self { min_side: 1, ..*self }.admit(width, height)
    }
}
