//! Captions of images from any source.

use crate::{
    frames::Frames,
    input::ImageInput,
    model::{Caption, CaptionSource, EncodedImage, ModelError, PixelBatch, RemoteCaption, SampleKey},
    prepare::{Prepared, PreparedImage},
    rule::Rule,
};
use capfilt_schemas::settings::FrameMatching;

/// Captions of one image: each a text, or the reason why there is none.
pub(crate) type Captions = Vec<Result<String, String>>;

/// Writes the captions of images.
///
/// # Errors
/// A model fails, or another program is unavailable.
pub(crate) fn write(
    source: &mut CaptionSource,
    rule: &Rule,
    images: &[(&Prepared, &PreparedImage)],
) -> Result<Vec<Captions>, ModelError> {
    let captions = rule.captioner.captions as usize;
    match source {
        CaptionSource::Nothing => Ok(vec![Vec::new(); images.len()]),
        CaptionSource::Model(captioner) => {
            let pixels = pixels(captioner.image_side(), rule, images);
            let keys: Vec<SampleKey> = images.iter().map(|(row, _)| key(row, rule)).collect();
            let written = captioner.caption(&pixels, &keys, captions)?;
            let texts =
                |captions: Vec<Caption>| captions.into_iter().map(|caption| Ok(caption.text)).collect();
            Ok(written.into_iter().map(texts).collect())
        }
        CaptionSource::Remote(captioner) => {
            let encoded = images.iter().map(|(row, _)| encoded(row, rule)).collect();
            let written = captioner.caption(encoded, captions)?;
            let result = |caption| match caption {
                RemoteCaption::Text(text) => Ok(text),
                RemoteCaption::Refused(why) => Err(why),
            };
            Ok(written.into_iter().map(|captions| captions.into_iter().map(result).collect()).collect())
        }
    }
}

/// Pixels for a captioner of this process. A clip is captioned as it is matched: by the tokens of all frames,
/// or, since `max` and `mean` compare texts with single frames, by its middle frame.
fn pixels(side: usize, rule: &Rule, images: &[(&Prepared, &PreparedImage)]) -> PixelBatch {
    let clips = images.iter().map(|(_, image)| &image.captioner_u8[..]);
    match rule.frames {
        Some(frames) if frames.matching != FrameMatching::Tokens => {
            let frame = 3 * side * side;
            let middle = clips.map(|clip| &clip[frames.middle() * frame..][..frame]);
            PixelBatch::of(side, Frames::ONE, middle)
        }
        frames => PixelBatch::of(side, frames.unwrap_or(Frames::ONE), clips),
    }
}

/// Names rows that will be judged soon.
pub(crate) fn announce(source: &mut CaptionSource, rule: &Rule, rows: &[Prepared]) {
    if let CaptionSource::Remote(captioner) = source {
        let images = rows.iter().filter(|row| row.image.is_ok()).map(|row| encoded(row, rule));
        captioner.announce(images.collect(), rule.captioner.captions as usize);
    }
}

fn key(row: &Prepared, rule: &Rule) -> SampleKey {
    let image_sha256 = row.image_sha256.expect("a decoded image has bytes");
    SampleKey { job_seed: rule.job_seed, image_sha256 }
}

fn encoded(row: &Prepared, rule: &Rule) -> EncodedImage {
    match &row.sample.image {
        ImageInput::Bytes { bytes, .. } => EncodedImage { bytes: bytes.clone(), key: key(row, rule) },
        _ => unreachable!("a decoded image has bytes"),
    }
}
