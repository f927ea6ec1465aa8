//! Encoding of pixels, for programs that do not decode the input's format.

use super::RgbImage;
use png::{BitDepth, ColorType, Encoder};

/// The image as a PNG of 8 bits per channel.
pub fn encode_png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, image.width, image.height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&image.pixels_u8));
    written.expect("an image has pixels of its size, and memory takes all bytes");
    bytes
}
