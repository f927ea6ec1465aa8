//! A contact sheet of pictures, or of the frames of clips, for people.

use crate::files::{Order, picture};
use image::{ImageError, RgbImage};
use std::path::Path;

/// Pictures per row, and rows.
const COLUMNS: u32 = 8;
const ROWS: u32 = 3;
/// Pixels between two pictures.
const GAP: u32 = 4;

/// Writes the first pictures of an order as one PNG; of clips, a row of frames each.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, order: &Order) -> Result<(), ImageError> {
    let side = u32::from(order.side);
    let mut sheet = RgbImage::new(COLUMNS * (side + GAP) - GAP, ROWS * (side + GAP) - GAP);
    for (number, pixels) in (0..).zip(pictures(order)) {
        let (left, top) = (number % COLUMNS * (side + GAP), number / COLUMNS * (side + GAP));
        for (i, rgb) in (0..).zip(pixels.chunks_exact(3)) {
            sheet.put_pixel(left + i % side, top + i / side, image::Rgb([rgb[0], rgb[1], rgb[2]]));
        }
    }
    sheet.save_with_format(path, image::ImageFormat::Png)
}

fn pictures(order: &Order) -> Vec<Vec<u8>> {
    if !order.source.is_clips() {
        let count = u64::from(COLUMNS * ROWS).min(order.scenes);
        return (0..count).flat_map(|number| picture(number, order).1).collect();
    }
    let columns = COLUMNS as usize;
    let row = |number| {
        let frames = picture(number, order).1;
        (0..columns).map(move |i| frames[i * frames.len() / columns].clone())
    };
    (0..u64::from(ROWS).min(order.scenes)).flat_map(row).collect()
}
