//! Speed at a batch size.

use capfilt_pipeline::{
    capfilt::CapFilt,
    framing::Square,
    input::{ImageInput, Sample, SourceText, TextInput},
    model::ModelError,
    prepare::{Prepared, PreparedImage, PreparedText},
};
use capfilt_schemas::hash::sha256;
use std::time::Instant;

/// Text with the number of words of a typical alt-text.
const TEXT: &str = "two people with a small dog in front of an old house near the river";

/// Least seconds to measure one size.
const SECONDS: f64 = 0.3;

/// Measures images per second; `None` if the batch exceeds the device's memory.
pub fn images_per_second(capfilt: &mut CapFilt, batch: usize) -> Result<Option<f64>, ModelError> {
    let rows = rows(capfilt.image_sides(), capfilt.clip_square(), batch);
    capfilt.set_batch(batch);
    capfilt.judge("warm-up", &rows)?;
    let (from, mut images) = (Instant::now(), 0);
    while capfilt.batch() == batch && (images == 0 || from.elapsed().as_secs_f64() < SECONDS) {
        capfilt.judge("trial", &rows)?;
        images += batch;
    }
    // `CapFilt` halves its batch when the device's memory is exhausted.
    Ok((capfilt.batch() == batch).then(|| images as f64 / from.elapsed().as_secs_f64()))
}

/// Makes rows with a pattern as image, a text and a negative control, as in a job. The content of the pixels
/// affects the time only through the length of the captions.
fn rows((captioner_side, filter_side): (usize, usize), clip: Option<Square>, count: usize) -> Vec<Prepared> {
    let pixels =
        |side: usize| (0..3 * side * side).map(|at| (at * 31 + at / 7) as u8).collect::<Vec<u8>>().into();
    let row = |i: usize| {
        let image = PreparedImage {
            width: captioner_side as u32,
            height: captioner_side as u32,
            hash: None,
            captioner_u8: pixels(captioner_side),
            filter_u8: pixels(filter_side),
            clip_u8: clip.map(|square| pixels(square.side)).unwrap_or_default(),
            note: None,
        };
        let sample = Sample {
            row: i as u64,
            key: None,
            member: None,
            image: ImageInput::Missing,
            texts: vec![SourceText { source: "text".into(), text: TextInput::Text(TEXT.to_owned()) }],
            selected: true,
            control: Some(TEXT.to_owned()),
            note: None,
        };
        let texts = vec![PreparedText::of(TEXT, usize::MAX - 1, &[])];
        Prepared { sample, image_sha256: Some(sha256(&i.to_le_bytes())), image: Ok(image), texts }
    };
    (0..count).map(row).collect()
}
