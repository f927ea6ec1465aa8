//! Image bytes of any kind to RGB, as Pillow's `Image.open(…).convert("RGB")` makes it.
//!
//! BLIP was trained on what Pillow decodes, so Pillow is the reference, oddities included: alpha is dropped
//! and not blended, colour profiles and EXIF rotation are ignored, 16-bit colour keeps its high byte.
//! `tests/pixels.rs` and `tests/features.rs` hold every format to it, to the bit; what is not decoded has a
//! status that names why.
//!
//! Web data is hostile. Sizes are read from the header and held against the limits before a pixel is
//! allocated, and with them the bytes that decoding will take ([`peak_decoding_bytes`]); profiles, texts
//! and later frames are not looked at; a codec that panics is caught here, in silence; and a truncated
//! image is an error and not a grey half: Pillow refuses it too.

mod bmp;
mod format;
mod gif;
mod jpeg;
mod lzw;
mod pieces;
mod png;
mod quiet;
mod samples;
mod tiff;
mod turn;
mod webp;

use format::Format;
use quiet::caught;

pub(crate) use quiet::message_of;

/// No side may be longer, whatever the pixel count: the longest that JPEG can say, and what keeps the
/// resizer's windows small.
const LONGEST_SIDE: u32 = 65_535;

/// Decoding may take that many bytes × [`ImageLimits::pixels`], and [`FREE_BYTES`] more: a progressive JPEG
/// of three full components, which keeps its coefficients, takes as many.
const BYTES_PER_PIXEL: u64 = 9;
/// For rows, and for what else does not grow with the pixels.
const FREE_BYTES: u64 = 64 << 20;

/// What is refused before anything is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageLimits {
    /// Length of the encoded image in bytes.
    pub bytes: u64,
    /// Width × height. Decoding takes 3 to 9 bytes for each pixel; the few images that take more are refused
    /// where that is more than 9 × this and 64 MiB. So the default bounds one image to 970 MB.
    /// [`peak_decoding_bytes`] says how many an image takes, and `docs/images.md` how many each format.
    pub pixels: u64,
    /// The shorter side in pixels. 1 takes everything.
    pub min_side: u32,
    /// Turn the image as its EXIF orientation says. The reference does not, except for TIFF.
    pub exif_rotation: bool,
    /// A JPEG is decoded at a half, a quarter or an eighth of its sides where both stay at least twice this
    /// long. 0: never.
    ///
    /// libjpeg leaves the high frequencies out then, instead of the resizer; Pillow calls it `draft`. It is
    /// another way to shrink, so pixels differ (`README.md` says by how much) and nothing is the
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

    /// Whether decoding may take so many bytes.
    fn admit_bytes(&self, bytes: u64) -> Result<(), ImageSkip> {
        let most = self.pixels.saturating_mul(BYTES_PER_PIXEL).saturating_add(FREE_BYTES);
        if bytes <= most {
            return Ok(());
        }
        Err(ImageSkip::TooLarge(format!("decoding takes {bytes} bytes; limits.pixels allows {most}")))
    }

    /// Whether a part of an image may be decoded: a frame, a tile.
    fn admit_part(&self, width: u32, height: u32) -> Result<(), ImageSkip> {
        Self { min_side: 1, ..*self }.admit(width, height)
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

/// An image whose header has been read.
trait Picture {
    /// Width and height, as they are decoded.
    fn size(&self) -> (u32, u32);

    /// The most bytes that decoding holds at once, the image that it returns among them and the file not.
    fn peak_bytes(&self, limits: &ImageLimits) -> u64;

    /// Decodes it; its size has been admitted.
    fn decode(&self, limits: &ImageLimits) -> Result<RgbImage, ImageSkip>;
}

/// Reads the header.
fn open<'a>(bytes: &'a [u8], limits: &ImageLimits) -> Result<Box<dyn Picture + 'a>, ImageSkip> {
    if bytes.is_empty() {
        return Err(ImageSkip::Missing);
    }
    if bytes.len() as u64 > limits.bytes {
        return Err(ImageSkip::TooLarge(format!("{} bytes; limits.image_bytes is {}", bytes.len(), limits.bytes)));
    }
    let picture: Box<dyn Picture + 'a> = match Format::of(bytes)? {
        Format::Jpeg => Box::new(jpeg::Jpeg::open(bytes)?),
        Format::Png => Box::new(png::Png::open(bytes)?),
        Format::WebP => Box::new(webp::WebP::open(bytes)?),
        Format::Bmp => Box::new(bmp::Bmp::open(bytes)?),
        Format::Gif => Box::new(gif::Gif::open(bytes)?),
        Format::Tiff => Box::new(tiff::Tiff::open(bytes)?),
    };
    let (width, height) = picture.size();
    limits.admit(width, height)?;
    limits.admit_bytes(picture.peak_bytes(limits))?;
    Ok(picture)
}

/// Decodes the first frame of an image.
///
/// # Errors
/// Every reason not to judge this image, and never a panic. Zero bytes count as [`ImageSkip::Missing`]:
/// that is how a failed download looks in a column that has no nulls.
pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    caught(|| open(bytes, limits)?.decode(limits)).unwrap_or_else(|panic| {
        let format = Format::of(bytes).map_or_else(|_| "image".to_owned(), |format| format.to_string());
        Err(ImageSkip::Undecodable(format!("the {format} decoder gave up: {panic}")))
    })
}

/// The most bytes that [`decode`] holds at once for this image, the decoded image among them and `bytes`
/// not, by its header alone: an upper bound, which `tests/memory.rs` measures. 0 for what is refused by its
/// header.
pub fn peak_decoding_bytes(bytes: &[u8], limits: &ImageLimits) -> u64 {
    let peak = caught(|| open(bytes, limits).map_or(0, |picture| picture.peak_bytes(limits)));
    peak.unwrap_or(0)
}

/// Black.
fn blank(width: u32, height: u32) -> Vec<u8> {
    vec![0; 3 * width as usize * height as usize]
}
