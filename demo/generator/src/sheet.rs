//! A contact sheet of pictures for people.

use crate::files::{Order, picture};
use image::{ImageError, RgbImage};
use std::path::Path;

/// Pictures per row, and rows.
const COLUMNS: u32 = 8;
const ROWS: u32 = 3;
/// Pixels between two pictures.
const GAP: u32 = 4;

/// Writes the first pictures of an order as one PNG.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, order: &Order) -> Result<(), ImageError> {
    let side = u32::from(order.side);
    let mut sheet = RgbImage::new(COLUMNS * (side + GAP) - GAP, ROWS * (side + GAP) - GAP);
    for number in 0..u64::from(COLUMNS * ROWS).min(order.scenes) {
        let (_, pixels) = picture(number, order);
        let (left, top) = (number as u32 % COLUMNS * (side + GAP), number as u32 / COLUMNS * (side + GAP));
        for (i, rgb) in (0..).zip(pixels.chunks_exact(3)) {
            sheet.put_pixel(left + i % side, top + i / side, image::Rgb([rgb[0], rgb[1], rgb[2]]));
        }
    }
    sheet.save_with_format(path, image::ImageFormat::Png)
}
