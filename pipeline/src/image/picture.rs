//! What every format provides.

use super::{ImageLimits, ImageSkip, RgbImage};

/// An image whose header has been read.
pub(super) trait Picture {
    /// Width and height, as they are decoded.
    fn size(&self) -> (u32, u32);

    /// The most bytes that decoding holds at once, the image that it returns among them and the file not.
    fn peak_bytes(&self, limits: &ImageLimits) -> u64;

    /// Decodes it; its size has been admitted.
    fn decode(&self, limits: &ImageLimits) -> Result<RgbImage, ImageSkip>;
}
