//! PNG and WebP through the crate `image`, whose decoders yield Pillow's pixels once the samples are converted; lossy
//! WebP too.

use std::io::Cursor;

use image::codecs::{png::PngDecoder, webp::WebPDecoder};
use image::{ColorType, ExtendedColorType, ImageDecoder, ImageError, Limits};

use super::samples::{cut_off, grey_alpha_to_rgb, grey_to_rgb, high_bytes, rgba_to_rgb};
use super::{ImageLimits, ImageSkip, RgbImage, turn};

pub(super) fn png(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    read(PngDecoder::new(Cursor::new(bytes)).map_err(skip)?, limits)
}

pub(super) fn webp(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    read(WebPDecoder::new(Cursor::new(bytes)).map_err(skip)?, limits)
}

/// The decoder has read the header and nothing else.
pub(super) fn read(mut decoder: impl ImageDecoder, limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    let (width, height) = decoder.dimensions();
    limits.admit(width, height)?;
    // The size is known to be in bounds; what is left to bound is a profile or text that unpacks to gigabytes.
    let mut allocations = Limits::no_limits();
    allocations.max_alloc = Some(decoder.total_bytes() * 2 + (64 << 20));
    decoder.set_limits(allocations).map_err(skip)?;
    let orientation = if limits.exif_rotation { decoder.orientation().ok() } else { None };
    let (colours, stored) = (decoder.color_type(), decoder.original_color_type());
    let mut samples = vec![0; decoder.total_bytes() as usize];
    decoder.read_image(&mut samples).map_err(skip)?;
    let image = RgbImage { width, height, pixels_u8: to_rgb(samples, colours, stored)? };
    Ok(match orientation {
        Some(orientation) => turn::by(image, orientation),
        None => image,
    })
}

/// `stored`: what the file has; a transparent colour makes `colours` have alpha where the file has none.
fn to_rgb(samples: Vec<u8>, colours: ColorType, stored: ExtendedColorType) -> Result<Vec<u8>, ImageSkip> {
    Ok(match colours {
        ColorType::Rgb8 => samples,
        ColorType::L8 => grey_to_rgb(samples),
        ColorType::La8 => grey_alpha_to_rgb(&samples),
        ColorType::Rgba8 => rgba_to_rgb(&samples),
        ColorType::L16 => grey_to_rgb(cut_off(&wide(&samples))),
        ColorType::La16 if stored == ExtendedColorType::L16 => grey_alpha_to_rgb(&cut_off(&wide(&samples))),
        ColorType::La16 => grey_alpha_to_rgb(&high_bytes(&wide(&samples))),
        ColorType::Rgb16 => high_bytes(&wide(&samples)),
        ColorType::Rgba16 => rgba_to_rgb(&high_bytes(&wide(&samples))),
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
