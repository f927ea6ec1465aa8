//! Images as an endpoint receives them: `data:` URLs.
//!
//! The formats that vision endpoints decode are sent unchanged: no loss, no work. BMP and TIFF are decoded
//! and encoded as PNG, in their full size; such an image is refused only if the decoder that the filter used
//! refuses it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use capfilt_pipeline::image::{ImageLimits, decode, encode_png, web_media_type};

/// The `data:` URL of an encoded image.
///
/// # Errors
/// Reason why the image cannot be sent, for people.
pub(crate) fn data_url(bytes: &Bytes, limits: &ImageLimits) -> Result<String, String> {
    let (media_type, encoded) = match web_media_type(bytes) {
        Some(media_type) => (media_type, bytes.clone()),
        None => {
            let image = decode(bytes, limits).map_err(|skip| skip.to_string())?;
            ("image/png", encode_png(&image).into())
        }
    };
    let mut url = format!("data:{media_type};base64,");
    STANDARD.encode_string(&encoded, &mut url);
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A BMP of 2 × 1 pixels of 24 bits: red, blue.
    const BMP: [u8; 62] = [
        b'B', b'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0, 0, 40, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 24, 0,
        0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0,
    ];

    fn decoded(url: &str, media_type: &str) -> Vec<u8> {
        STANDARD.decode(url.strip_prefix(&format!("data:{media_type};base64,")).unwrap()).unwrap()
    }

    #[test]
    fn a_jpeg_is_sent_unchanged() {
        let bytes = Bytes::from_static(&[0xFF, 0xD8, 0xFF, 0xE0, 1, 2, 3]);
        let url = data_url(&bytes, &ImageLimits::default()).unwrap();
        assert_eq!(decoded(&url, "image/jpeg"), bytes);
    }

    #[test]
    fn another_format_is_sent_as_png_with_equal_pixels() {
        let url = data_url(&Bytes::from_static(&BMP), &ImageLimits::default()).unwrap();
        let image = image::load_from_memory(&decoded(&url, "image/png")).unwrap().into_rgb8();
        assert_eq!((image.dimensions(), image.as_raw().as_slice()), ((2, 1), &[255, 0, 0, 0, 0, 255][..]));
    }

    #[test]
    fn bytes_that_are_not_an_image_are_refused() {
        assert!(data_url(&Bytes::from_static(b"no image"), &ImageLimits::default()).is_err());
    }
}
