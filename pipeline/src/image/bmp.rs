//! BMP through the crate `image`.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;

use super::samples::high_bytes;
use super::{ImageLimits, ImageSkip, RgbImage, plain};

/// Where the header says how many bits a pixel has, and where a header with channel masks has the green one.
const DEPTH_AT: usize = 28;
const GREEN_MASK_AT: usize = 58;
const SIX_BITS_OF_GREEN: u32 = 0x07E0;

pub(super) fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    let mut image = plain::read(BmpDecoder::new(Cursor::new(bytes)).map_err(plain::skip)?, limits, high_bytes)?;
    if bytes.get(DEPTH_AT..DEPTH_AT + 2) == Some(&[16, 0]) {
        let mask = bytes.get(GREEN_MASK_AT..).and_then(<[u8]>::first_chunk);
        let green = if mask.is_some_and(|mask| u32::from_le_bytes(*mask) == SIX_BITS_OF_GREEN) { 6 } else { 5 };
        for [red, g, blue] in image.pixels_u8.as_chunks_mut::<3>().0 {
            (*red, *g, *blue) = (stretch(*red, 5), stretch(*g, green), stretch(*blue, 5));
        }
    }
    Ok(image)
}

/// Pillow stretches the few bits of 16-bit BMP by division and drops the remainder, where the decoder repeats the bits.
/// `sample` still has them at its top.
fn stretch(sample: u8, bits: u32) -> u8 {
    let value = u32::from(sample) >> (8 - bits);
    (value * 255 / ((1 << bits) - 1)) as u8
}
