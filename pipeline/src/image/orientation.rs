//! Rotation of an image by its EXIF orientation, if requested.

use image::DynamicImage;
use image::metadata::Orientation;

use super::RgbImage;

/// Bytes of an image's RGB pixels, and of the rotated copy.
pub(super) fn peak_bytes(width: u32, height: u32, is_turned: bool) -> u64 {
    u64::from(width) * u64::from(height) * if is_turned { 6 } else { 3 }
}

/// `exif`: the TIFF structure of an EXIF segment. Without an orientation the image is not changed.
pub(super) fn by_exif(image: RgbImage, exif: &[u8]) -> RgbImage {
    match Orientation::from_exif_chunk(exif) {
        Some(orientation) => by(image, orientation),
        None => image,
    }
}

pub(super) fn by(image: RgbImage, orientation: Orientation) -> RgbImage {
    if orientation == Orientation::NoTransforms {
        return image;
    }
    let buffer = image::RgbImage::from_raw(image.width, image.height, image.pixels_u8)
        .expect("a decoded image has width × height RGB pixels");
    let mut turned = DynamicImage::ImageRgb8(buffer);
    turned.apply_orientation(orientation);
    let is_on_its_side = (turned.width(), turned.height()) == (image.height, image.width);
    let reduced_from = image
        .reduced_from
        .map(|(width, height)| if is_on_its_side { (height, width) } else { (width, height) });
    RgbImage { reduced_from, ..RgbImage::new(turned.width(), turned.height(), turned.into_bytes()) }
}
