//! What is refused before anything is decoded.

use super::ImageSkip;

/// No side may be longer, whatever the pixel count: the longest that JPEG can say, and what keeps the
/// resizer's windows small.
const LONGEST_SIDE: u32 = 65_535;

/// Decoding may take that many bytes × [`ImageLimits::pixels`], and [`FREE_BYTES`] more: a progressive JPEG
/// of three full components, which keeps its coefficients, takes as many.
const BYTES_PER_PIXEL: u64 = 9;
/// For rows, and for what else does not grow with the pixels.
const FREE_BYTES: u64 = 64 << 20;

/// Bounds of an image, checked before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Length of the encoded image in bytes.
    pub bytes: u64,
    /// Width × height. Decoding takes 3 to 9 bytes for each pixel; the few images that take more are refused
    /// where that is more than 9 × this and 64 MiB. So the default bounds one image to 970 MB.
    /// [`super::peak_decoding_bytes`] says how many an image takes, and `docs/images.md` how many each
    /// format.
    pub pixels: u64,
    /// The shorter side in pixels. 1 takes everything.
    pub min_side: u32,
    /// Turn the image as its EXIF orientation says. The reference does not, except for TIFF.
    pub exif_rotation: bool,
    /// A JPEG is decoded at a half, a quarter or an eighth of its sides where both stay at least twice this
    /// long. 0: never.
    ///
    /// libjpeg leaves the high frequencies out then, instead of the resizer; Pillow calls it `draft`. It is
    /// another way to shrink, so pixels differ (`configs/job.toml` says by how much) and nothing is the
    /// reference's any longer.
    pub reduced_side: u32,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self { bytes: 50 << 20, pixels: 100_000_000, min_side: 1, exif_rotation: false, reduced_side: 0 }
    }
}

impl ImageLimits {
    /// Whether an image that says this size may be decoded.
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

    /// Whether decoding may take so many bytes.
    pub(super) fn admit_bytes(&self, bytes: u64) -> Result<(), ImageSkip> {
        let most = self.pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(FREE_BYTES);
        if bytes <= most {
            return Ok(());
        }
        Err(ImageSkip::TooLarge(format!("decoding takes {bytes} bytes; limits.pixels allows {most}")))
    }

    /// Whether a part of an image may be decoded: a frame, a tile.
    pub(super) fn admit_part(&self, width: u32, height: u32) -> Result<(), ImageSkip> {
        Self { min_side: 1, ..*self }.admit(width, height)
    }
}
