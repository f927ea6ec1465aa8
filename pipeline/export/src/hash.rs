//! Perceptual hash of an image that no job hashed.

use capfilt_pipeline::{
    image::{ImageLimits, ImageSkip, decode},
    image_hash::image_hash,
    resize::Resizer,
};

/// Side of the filter of BLIP, for which jobs compute hashes. A job with a filter of another side has hashes
/// that differ in a few bits from these.
const SIDE: usize = 384;

/// Decodes an image and hashes it as a job does.
///
/// # Errors
/// The image cannot be decoded, or exceeds the default limits of jobs.
pub(crate) fn of_image(image: &[u8], resizer: &mut Resizer) -> Result<u64, ImageSkip> {
    let decoded = decode(image, &ImageLimits::default())?;
    let mut pixels_u8 = Vec::with_capacity(SIDE * SIDE * 3);
    resizer.squash(&decoded, SIDE, &mut pixels_u8);
    Ok(image_hash(&pixels_u8, SIDE).expect("the buffer has side × side pixels"))
}
