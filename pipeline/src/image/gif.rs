//! The first frame of a GIF, on its screen.

use gif::{ColorOutput, DecodeOptions, DecodingError, MemoryLimit};

use super::samples::{grey_to_rgb, palette_to_rgb};
use super::{ImageLimits, ImageSkip, RgbImage};

/// What lies around the frame shows the transparent colour, or else colour 0; transparency itself is dropped. A frame
/// that reaches past the screen enlarges it. All as Pillow does.
pub(super) fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Unlimited); // sizes are checked here
    let mut decoder = options.read_info(bytes).map_err(undecodable)?;
    let screen = (u32::from(decoder.width()), u32::from(decoder.height()));
    let Some(frame) = decoder.next_frame_info().map_err(undecodable)? else {
        return Err(ImageSkip::Undecodable("a GIF without a frame".to_owned()));
    };
    let (left, top) = (u32::from(frame.left), u32::from(frame.top));
    let (frame_width, frame_height) = (u32::from(frame.width), u32::from(frame.height));
    let (width, height) = (screen.0.max(left + frame_width), screen.1.max(top + frame_height));
    limits.admit(width, height)?;
    limits.admit(frame_width, frame_height)?;
    let around = frame.transparent.unwrap_or(0);

    let mut indices = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut indices).map_err(undecodable)?;
    let mut canvas = vec![around; width as usize * height as usize];
    let rows = canvas.chunks_exact_mut(width as usize).skip(top as usize);
    for (to, from) in rows.zip(indices.chunks_exact(frame_width as usize)) {
        to[left as usize..][..from.len()].copy_from_slice(from);
    }
    let pixels_u8 = match decoder.palette() {
        Ok(palette) => palette_to_rgb(&canvas, palette),
        Err(_) => grey_to_rgb(canvas), // without a palette an index is its own grey
    };
    Ok(RgbImage::new(width, height, pixels_u8))
}

fn undecodable(error: DecodingError) -> ImageSkip {
    ImageSkip::Undecodable(error.to_string())
}
