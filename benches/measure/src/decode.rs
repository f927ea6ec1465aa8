//! Speed of one core that decodes pictures and resizes them to the models' input.

use crate::error::MeasureError;
use capfilt_pipeline::{
    image::{ImageLimits, decode},
    image_file,
    resize::Resizer,
};
use serde_json::json;
use std::{
    hint::black_box,
    path::Path,
    time::{Duration, Instant},
};

/// Inputs of a measurement of decoding.
#[derive(Debug, Clone, Copy)]
pub struct DecodeTrial<'a> {
    /// Folder of images.
    pub images: &'a Path,
    /// Side of the models' images, in pixels.
    pub side: u32,
    /// Whether JPEG is decoded at a smaller scale if that is enough for `side`.
    pub is_reduced: bool,
    /// Seconds to measure.
    pub seconds: f64,
}

/// Speed of decoding and resizing on one core.
#[derive(Debug, Clone)]
pub struct DecodeSpeed {
    /// Number of files that decode.
    pub files: usize,
    /// Number of files that do not decode.
    pub broken: usize,
    /// Mean milliseconds to decode an image.
    pub decode_ms: f64,
    /// Mean milliseconds to resize an image.
    pub resize_ms: f64,
    /// Mean difference to the exact pixels, in levels of 255.
    pub levels_off_mean: f64,
    /// Difference that one value in a thousand exceeds.
    pub levels_off_99_9: u8,
}

impl DecodeSpeed {
    /// Images per second on one core.
    pub fn images_per_second(&self) -> f64 {
        1e3 / (self.decode_ms + self.resize_ms)
    }

    /// The result as one JSON object.
    pub fn to_json(&self, trial: &DecodeTrial<'_>) -> serde_json::Value {
        json!({
            "what": "decode", "files": self.files, "broken": self.broken, "side": trial.side,
            "reduced": trial.is_reduced, "images_per_second": self.images_per_second(),
            "decode_ms": self.decode_ms, "resize_ms": self.resize_ms,
            "levels_off_mean": self.levels_off_mean, "levels_off_99_9": self.levels_off_99_9,
        })
    }

    /// The result for people.
    pub fn lines(&self, trial: &DecodeTrial<'_>) -> Vec<String> {
        let Self { files, decode_ms, resize_ms, levels_off_mean: mean, levels_off_99_9: most, .. } = self;
        let (rate, side) = (self.images_per_second(), trial.side);
        let mut lines = vec![
            format!("{rate:.1} images/s on one core ({files} files, to {side} px)"),
            format!("  decoding {decode_ms:.2} ms, resizing {resize_ms:.2} ms"),
        ];
        if trial.is_reduced {
            lines.push(format!(
                "  difference to the exact pixels: {mean:.2} levels of 255 on average, more than {most} for \
                 one value in a thousand"
            ));
        }
        lines
    }
}

/// Measures decoding and resizing.
///
/// # Errors
/// A file that cannot be read, and a folder without an image that decodes.
pub fn decode_speed(trial: &DecodeTrial<'_>) -> Result<DecodeSpeed, MeasureError> {
    let side = trial.side as usize;
    let exact = ImageLimits::default();
    let limits = ImageLimits { reduced_side: if trial.is_reduced { trial.side } else { 0 }, ..exact };
    let paths = image_file::list(trial.images)?;
    let all = paths.iter().map(|path| image_file::bytes(path)).collect::<Result<Vec<_>, _>>()?;
    let (files, broken): (Vec<_>, Vec<_>) = all.into_iter().partition(|file| decode(file, &limits).is_ok());
    if files.is_empty() {
        return Err(MeasureError::NoImage(trial.images.to_owned()));
    }
    let (decode_ms, resize_ms) = milliseconds(&files, side, &limits, trial.seconds);
    let (levels_off_mean, levels_off_99_9) = differences(&files, side, [&exact, &limits]);
    let (files, broken) = (files.len(), broken.len());
    Ok(DecodeSpeed { files, broken, decode_ms, resize_ms, levels_off_mean, levels_off_99_9 })
}

/// Mean milliseconds to decode and to resize an image, over at least `seconds`.
fn milliseconds(files: &[Vec<u8>], side: usize, limits: &ImageLimits, seconds: f64) -> (f64, f64) {
    let (mut resizer, mut pixels) = (Resizer::new(), Vec::new());
    let (mut decoding, mut resizing, mut images) = (Duration::ZERO, Duration::ZERO, 0);
    while images == 0 || (decoding + resizing).as_secs_f64() < seconds {
        for file in files {
            let start = Instant::now();
            let image = decode(file, limits).expect("it decoded before");
            let decoded = Instant::now();
            pixels.clear();
            resizer.squash(&image, side, &mut pixels);
            black_box(&pixels);
            drop(image);
            decoding += decoded - start;
            resizing += decoded.elapsed();
            images += 1;
        }
    }
    let mean = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(images);
    (mean(decoding), mean(resizing))
}

/// Differences of the resized pixels to the exact ones, in levels: the mean, and the bound that one value in
/// a thousand exceeds.
fn differences(files: &[Vec<u8>], side: usize, limits: [&ImageLimits; 2]) -> (f64, u8) {
    let mut resizer = Resizer::new();
    let mut counts = [0u64; 256];
    for file in files {
        let [exact, other] = limits.map(|limits| {
            let mut pixels = Vec::new();
            resizer.squash(&decode(file, limits).expect("it decoded before"), side, &mut pixels);
            pixels
        });
        exact.iter().zip(other).for_each(|(a, b)| counts[usize::from(a.abs_diff(b))] += 1);
    }
    let all: u64 = counts.iter().sum();
    let mean = counts.iter().enumerate().map(|(levels, count)| levels as f64 * *count as f64).sum::<f64>()
        / all as f64;
    let mut beyond = 0;
    let far = (0..=255u8).rev().find(|levels| {
        beyond += counts[usize::from(*levels)];
        beyond * 1000 > all
    });
    (mean, far.unwrap_or(0))
}
