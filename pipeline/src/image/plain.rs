//! PNG and WebP through the crate `image`, whose decoders yield Pillow's pixels once the samples are converted; lossy
//! WebP too.

use std::io::Cursor;

use image::codecs::{png::PngDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageError, Limits};

use super::samples::{cut_off, grey_alpha_to_rgb, grey_to_rgb, high_bytes, rgba_to_rgb};
use super::{ImageLimits, ImageSkip, RgbImage, turn};

/// Where a PNG says its depth and its kind of colour, and what it says there for plain grey. The decoder would not tell:
/// a transparent grey makes grey with alpha of it, which Pillow treats differently.
const DEPTH_AT: usize = 24;
const GREY_OF_16_BITS: [u8; 2] = [16, 0];

/// 16-bit samples to 8-bit ones.
type Deep = fn(&[u16]) -> Vec<u8>;

pub(super) fn png(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    let deep = if bytes.get(DEPTH_AT..DEPTH_AT + 2) == Some(&GREY_OF_16_BITS) { cut_off } else { high_bytes };
    read(PngDecoder::new(Cursor::new(bytes)).map_err(skip)?, limits, deep)
}

pub(super) fn webp(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    read(WebPDecoder::new(Cursor::new(bytes)).map_err(skip)?, limits, high_bytes)
}

/// The decoder has read the header and nothing else.
pub(super) fn read(mut decoder: impl ImageDecoder, limits: &ImageLimits, deep: Deep) -> Result<RgbImage, ImageSkip> {
    let (width, height) = decoder.dimensions();
    limits.admit(width, height)?;
    // The size is known to be in bounds; what is left to bound is a profile or text that unpacks to gigabytes.
    let mut allocations = Limits::no_limits();
    allocations.max_alloc = Some(decoder.total_bytes() * 2 + (64 << 20));
    decoder.set_limits(allocations).map_err(skip)?;
    let orientation = if limits.exif_rotation { decoder.orientation().ok() } else { None };
    let colours = decoder.color_type();
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(skip)?;
    let image = RgbImage::new(width, height, to_rgb(samples, colours, deep)?);
    Ok(match orientation {
        Some(orientation) => turn::by(image, orientation),
        None => image,
    })
}

fn to_rgb(samples: Vec<u8>, colours: ColorType, deep: Deep) -> Result<Vec<u8>, ImageSkip> {
    Ok(match colours {
        ColorType::Rgb8 => samples,
        ColorType::L8 => grey_to_rgb(samples),
        ColorType::La8 => grey_alpha_to_rgb(&samples),
        ColorType::Rgba8 => rgba_to_rgb(&samples),
        ColorType::L16 => grey_to_rgb(deep(&wide(&samples))),
        ColorType::La16 => grey_alpha_to_rgb(&deep(&wide(&samples))),
        ColorType::Rgb16 => deep(&wide(&samples)),
        ColorType::Rgba16 => rgba_to_rgb(&deep(&wide(&samples))),
        other => return Err(ImageSkip::Unsupported(format!("samples of kind {other:?}"))),
    })
}

/// Bytes in this machine's order to 16-bit samples.
fn wide(samples: &[u8]) -> Vec<u16> {
    samples.as_chunks::<2>().0.iter().map(|&pair| u16::from_ne_bytes(pair)).collect()
}

pub(super) fn skip(error: ImageError) -> ImageSkip {
    match error {
        ImageError::Unsupported(what) => ImageSkip::Unsupported(what.to_string()),
        other => ImageSkip::Undecodable(other.to_string()),
    }
}
