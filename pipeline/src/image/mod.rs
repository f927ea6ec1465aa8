//! Image bytes of any kind to RGB, as Pillow's `Image.open(…).convert("RGB")` makes it.
//!
//! BLIP was trained on what Pillow decodes, so Pillow is the reference, oddities included: alpha is dropped and not
//! blended, colour profiles and EXIF rotation are ignored, 16-bit colour keeps its high byte. `tests/pixels.rs` holds
//! every format to it, to the bit but for one: JPEG inside TIFF has another codec, and may be 2 levels off.
//!
//! Web data is hostile. Sizes are read from the header and held against the limits before a pixel is allocated, a
//! codec that panics is caught here, and a truncated image is an error and not a grey half: Pillow refuses it too.

mod bmp;
mod format;
mod gif;
mod jpeg;
mod plain;
mod samples;
mod tiff;
mod turn;
mod ycc;

use std::panic::{AssertUnwindSafe, catch_unwind};

use format::Format;

/// No side may be longer, whatever the pixel count: the longest that JPEG can say, and what keeps the resizer's
/// windows small.
const LONGEST_SIDE: u32 = 65_535;

/// What is refused before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Length of the encoded image in bytes.
    pub bytes: u64,
    /// Width × height. Decoding takes up to 9 bytes for each (a progressive JPEG keeps its coefficients), so the
    /// default bounds one image to 0.9 GB.
    pub pixels: u64,
    /// The shorter side in pixels. 1 takes everything.
    pub min_side: u32,
    /// Turn the image as its EXIF orientation says. The reference does not, except for TIFF.
    pub exif_rotation: bool,
    /// A JPEG is decoded at a half, a quarter or an eighth of its sides where both stay at least twice this long. 0: never.
    ///
    /// libjpeg leaves the high frequencies out then, instead of the resizer; Pillow calls it `draft`. It is another way to
    /// shrink, so pixels differ (`README.md` says by how much) and nothing is the reference's any longer.
    pub reduced_side: u32,
}

impl Default for ImageLimits {
    fn default() -> Self {
        Self { bytes: 50 << 20, pixels: 100_000_000, min_side: 1, exif_rotation: false, reduced_side: 0 }
    }
}

impl ImageLimits {
    /// Whether an image that says this size may be decoded.
    fn admit(&self, width: u32, height: u32) -> Result<(), ImageSkip> {
        let pixels = u64::from(width) * u64::from(height);
        if pixels == 0 {
            return Err(ImageSkip::Undecodable(format!("it says it has {width} × {height} pixels")));
        }
        if pixels > self.pixels {
            return Err(ImageSkip::TooLarge(format!("{width} × {height} pixels; limits.pixels is {}", self.pixels)));
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
}

/// A decoded image: `width × height × 3` bytes, row by row, red first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    pub width: u32,
    pub height: u32,
    pub pixels_u8: Vec<u8>,
    /// Width and height as stored, where it was decoded smaller.
    pub reduced_from: Option<(u32, u32)>,
}

impl RgbImage {
    pub(crate) fn new(width: u32, height: u32, pixels_u8: Vec<u8>) -> Self {
        Self { width, height, pixels_u8, reduced_from: None }
    }

    /// Width and height as they are stored.
    pub fn stored_size(&self) -> (u32, u32) {
        self.reduced_from.unwrap_or((self.width, self.height))
    }
}

/// Why a row has no image to judge. One variant per status of the ledger; the text goes to its `detail`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageSkip {
    #[error("there is no image")]
    Missing,
    #[error("the image can't be decoded: {0}")]
    Undecodable(String),
    #[error("the image format is not supported: {0}")]
    Unsupported(String),
    #[error("the image is too large: {0}")]
    TooLarge(String),
    #[error("the image is too small: {0}")]
    TooSmall(String),
}

/// Decodes the first frame of an image.
///
/// # Errors
/// Every reason not to judge this image, and never a panic. Zero bytes count as [`ImageSkip::Missing`]: that is how a
/// failed download looks in a column that has no nulls.
pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    if bytes.is_empty() {
        return Err(ImageSkip::Missing);
    }
    if bytes.len() as u64 > limits.bytes {
        return Err(ImageSkip::TooLarge(format!("{} bytes; limits.image_bytes is {}", bytes.len(), limits.bytes)));
    }
    let format = Format::of(bytes)?;
    let decoded = catch_unwind(AssertUnwindSafe(|| match format {
        Format::Jpeg => jpeg::decode(bytes, limits),
        Format::Png => plain::png(bytes, limits),
        Format::WebP => plain::webp(bytes, limits),
        Format::Bmp => bmp::decode(bytes, limits),
        Format::Gif => gif::decode(bytes, limits),
        Format::Tiff => tiff::decode(bytes, limits),
    }));
    decoded.unwrap_or_else(|panic| {
        Err(ImageSkip::Undecodable(format!("the {format} decoder gave up: {}", message_of(panic.as_ref()))))
    })
}

/// What a panic said.
pub(crate) fn message_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}
