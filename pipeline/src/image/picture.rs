//! Interface of all formats.

use super::{ImageLimits, ImageSkip, RgbImage};

/// An image whose header has been read.
pub(super) trait Picture {
    /// Width and height after decoding.
    fn size(&self) -> (u32, u32);

    /// Upper bound of the bytes that decoding holds at once, including the returned image, without the file.
    fn peak_bytes(&self, limits: &ImageLimits) -> u64;

    /// Decodes the image; the caller has checked its size.
    fn decode(&self, limits: &ImageLimits) -> Result<RgbImage, ImageSkip>;
}
