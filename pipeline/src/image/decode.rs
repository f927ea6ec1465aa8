//! Decoding of bytes to pixels: the first bytes decide the format.

use super::{ImageFormat, ImageLimits, ImageSkip, Picture, RgbImage, quiet::caught};

/// Reads the header.
fn open<'a>(bytes: &'a [u8], limits: &ImageLimits) -> Result<Box<dyn Picture + 'a>, ImageSkip> {
    if bytes.is_empty() {
        return Err(ImageSkip::Missing);
    }
    if bytes.len() as u64 > limits.bytes {
        return Err(ImageSkip::TooLarge(format!(
            "{} bytes; limits.image_bytes is {}",
            bytes.len(),
            limits.bytes
        )));
    }
    let picture = ImageFormat::of(bytes)?.open(bytes)?;
    let (width, height) = picture.size();
    limits.admit(width, height)?;
    limits.admit_bytes(picture.peak_bytes(limits))?;
    Ok(picture)
}

/// Decodes the first frame of an image.
///
/// # Errors
/// Every reason not to judge this image; never panics. Zero bytes are [`ImageSkip::Missing`]: a failed
/// download looks like this in a column without nulls.
pub fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    caught(|| open(bytes, limits)?.decode(limits)).unwrap_or_else(|panic| {
        let format = ImageFormat::of(bytes).map_or_else(|_| "image".to_owned(), |format| format.to_string());
        Err(ImageSkip::Undecodable(format!("the {format} decoder gave up: {panic}")))
    })
}

/// Upper bound of the bytes that [`decode`] holds at once for this image, including the decoded image,
/// without `bytes`. Computed from the header alone; `tests/memory.rs` measures the real peak. 0 for an image
/// that is refused by its header.
pub fn peak_decoding_bytes(bytes: &[u8], limits: &ImageLimits) -> u64 {
    let peak = caught(|| open(bytes, limits).map_or(0, |picture| picture.peak_bytes(limits)));
    peak.unwrap_or(0)
}
