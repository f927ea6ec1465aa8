//! Thumbnails: small JPEGs of a bounded size.

use capfilt_pipeline::image::{ImageLimits, RgbImage, decode};
use image::{ExtendedColorType, ImageEncoder as _, codecs::jpeg::JpegEncoder, imageops};

/// Longest side in pixels and JPEG quality of a thumbnail, best first.
const FORMS: [(u32, u8); 5] = [(160, 78), (160, 60), (128, 50), (96, 45), (64, 40)];

/// A small JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// The encoded image.
    pub jpeg: Vec<u8>,
}

impl Thumbnail {
    /// The thumbnail of an encoded image, in the best form that has at most `bytes_each` bytes.
    ///
    /// # Errors
    /// A sentence about why the image is not decoded, or is too large even in the smallest form.
    pub fn of(image: &[u8], limits: &ImageLimits, bytes_each: usize) -> Result<Self, String> {
        let longest = FORMS[0].0;
        let limits = ImageLimits { reduced_side: longest, ..*limits };
        let decoded = decode(image, &limits).map_err(|skip| skip.to_string())?;
        let of_form = |(side, quality)| Self::in_form(&decoded, side, quality);
        let forms = FORMS.into_iter().filter_map(of_form);
        let small = forms.into_iter().find(|thumbnail| thumbnail.jpeg.len() <= bytes_each);
        small.ok_or_else(|| "the image has no thumbnail of few bytes".to_owned())
    }

    fn in_form(decoded: &RgbImage, side: u32, quality: u8) -> Option<Self> {
        let (width, height) = fitted(decoded.width, decoded.height, side);
        let pixels = decoded.pixels_u8.clone();
        let pixels = image::RgbImage::from_raw(decoded.width, decoded.height, pixels)?;
        let small = match (width, height) == (decoded.width, decoded.height) {
            true => pixels,
            false => imageops::thumbnail(&pixels, width, height),
        };
        let mut jpeg = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut jpeg, quality);
        encoder.write_image(&small, width, height, ExtendedColorType::Rgb8).ok()?;
        Some(Self { width, height, jpeg })
    }
}

/// Width and height that fit into a square, in the same proportion; at least 1 pixel each.
fn fitted(width: u32, height: u32, side: u32) -> (u32, u32) {
    let longest = width.max(height).max(1);
    if longest <= side {
        return (width.max(1), height.max(1));
    }
    let scaled = |length: u32| (u64::from(length) * u64::from(side) / u64::from(longest)).max(1) as u32;
    (scaled(width), scaled(height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_pipeline::image::encode_png;

    fn noise(width: u32, height: u32) -> Vec<u8> {
        let byte = |at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8;
        let pixels_u8 = (0..width * height * 3).map(byte).collect();
        encode_png(&RgbImage { width, height, pixels_u8, reduced_from: None })
    }

    #[test]
    fn a_thumbnail_keeps_the_proportion_and_has_few_bytes() {
        let limits = ImageLimits::default();
        let thumbnail = Thumbnail::of(&noise(640, 320), &limits, 100_000).unwrap();
        assert_eq!((thumbnail.width, thumbnail.height), (160, 80));
        for bytes_each in [thumbnail.jpeg.len() - 1, thumbnail.jpeg.len() / 3] {
            let small = Thumbnail::of(&noise(640, 320), &limits, bytes_each).unwrap();
            assert!(small.jpeg.len() <= bytes_each, "{} bytes of {bytes_each}", small.jpeg.len());
            assert_eq!(small.width, 2 * small.height);
        }
        assert!(Thumbnail::of(&noise(640, 320), &limits, 10).is_err());
        let line = Thumbnail::of(&noise(2_000, 1), &limits, 100_000).unwrap();
        assert_eq!((line.width, line.height), (160, 1));
    }

    #[test]
    fn bytes_that_are_not_an_image_have_a_reason() {
        let why = Thumbnail::of(b"<script>", &ImageLimits::default(), 1000).unwrap_err();
        assert!(!why.is_empty());
    }
}
