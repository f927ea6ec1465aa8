//! Images with all their texts, from Parquet.

use crate::error::EvaluateError;
use arrow::{array::AsArray as _, compute::cast, datatypes::DataType};
use bytes::Bytes;
use capfilt_pipeline::{
    frames::{Frames, decode_each, repeated},
    image::{ImageLimits, RgbImage},
    input::{ImageInput, InputColumns, Rows, ShardReader},
    model::PixelBatch,
    resize::Resizer,
};
use capfilt_schemas::plan::Shard;
use capfilt_store::Location;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// Rows that are decoded from Parquet at once.
const ROWS_AT_ONCE: usize = 256;

/// An encoded image and its texts, as stored.
#[derive(Debug, Clone)]
pub struct Captioned {
    /// Encoded image, or packed clip.
    pub image: Bytes,
    /// SHA-256 of the encoded image.
    pub sha256: [u8; 32],
    /// Captions of the image.
    pub texts: Vec<String>,
    /// Cell of the extra column in the image's first row.
    pub note: Option<String>,
}

/// Images of an evaluation. Memory: the encoded images.
#[derive(Debug, Default)]
pub struct Collection {
    /// Images with their captions.
    pub images: Vec<Captioned>,
    /// Rows without a usable image or text.
    pub skipped: u64,
    by_image: HashMap<[u8; 32], usize>,
}

/// Reads shards until there are `most` images, or `clips` with these frames. Rows with equal image
/// bytes are one image with several texts.
///
/// # Errors
/// A file cannot be read, or `note` is not a column of texts.
pub async fn read(
    place: &Location,
    shards: &[Shard],
    columns: &InputColumns,
    note: Option<&str>,
    most: usize,
    clips: Option<Frames>,
) -> Result<Collection, EvaluateError> {
    let frames = clips.unwrap_or(Frames::ONE);
    let mut found = Collection::default();
    let columns =
        InputColumns { passthrough: note.map(str::to_owned).into_iter().collect(), ..columns.clone() };
    for shard in shards {
        let mut reader = ShardReader::open(place, shard, columns.clone(), ROWS_AT_ONCE).await?;
        while let Some(rows) = reader.next().await? {
            found.add(rows, note, most, frames)?;
        }
        // Another row of the last image may be in another file; most data sets keep the rows of an image
        // together.
        if found.images.len() >= most {
            break;
        }
    }
    Ok(found)
}

/// Digest and bytes of an image, and the texts of its row.
type Usable = ([u8; 32], Bytes, Vec<String>);

impl Collection {
    fn add(
        &mut self,
        rows: Rows,
        note: Option<&str>,
        most: usize,
        frames: Frames,
    ) -> Result<(), EvaluateError> {
        let notes = note.map(|name| notes(&rows, name)).transpose()?;
        // In a data set with several texts per image, most rows repeat an image that was already checked.
        let usable: Vec<Option<Usable>> = rows
            .samples
            .into_par_iter()
            .map(|sample| {
                let texts = sample.texts.iter().filter_map(|text| text.text.as_text());
                let texts = texts.filter(|text| !text.trim().is_empty()).map(str::to_owned);
                let texts: Vec<String> = texts.collect();
                match sample.image {
                    ImageInput::Bytes { bytes, .. } if sample.selected && !texts.is_empty() => {
                        let sha256 = Sha256::digest(&bytes).into();
                        let decodes = self.by_image.contains_key(&sha256)
                            || decode_each(&bytes, frames.count, &ImageLimits::default(), |_| ()).is_ok();
                        decodes.then_some((sha256, bytes, texts))
                    }
                    _ => None,
                }
            })
            .collect();
        for (i, row) in usable.into_iter().enumerate() {
            let Some((sha256, image, texts)) = row else {
                self.skipped += 1;
                continue;
            };
            match self.by_image.get(&sha256) {
                Some(known) => self.images[*known].texts.extend(texts),
                None if self.images.len() < most => {
                    let note = notes.as_ref().and_then(|notes| notes[i].clone());
                    self.by_image.insert(sha256, self.images.len());
                    self.images.push(Captioned { image, sha256, texts, note });
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// Cells of a pass-through column as text.
pub(crate) fn notes(rows: &Rows, name: &str) -> Result<Vec<Option<String>>, EvaluateError> {
    let not_text = || EvaluateError::NotText(name.to_owned());
    let column = rows.passthrough.column_by_name(name).ok_or_else(not_text)?;
    let column = cast(column, &DataType::Utf8).map_err(|_| not_text())?;
    Ok(column
        .as_string_opt::<i32>()
        .ok_or_else(not_text)?
        .iter()
        .map(|cell| cell.map(str::to_owned))
        .collect())
}

/// Encoded images, or clips, decoded and resized for a model. Frames of a clip that do not decode are left
/// out, as in a job.
pub(crate) fn pixels(images: &[&Bytes], side: usize, frames: Frames) -> PixelBatch {
    let squashed = |resizer: &mut Resizer, image: &&Bytes| {
        let mut pixels = Vec::with_capacity(frames.count * side * side * 3);
        let squash = |frame: &RgbImage| resizer.squash(frame, side, &mut pixels);
        let decoded = decode_each(image, frames.count, &ImageLimits::default(), squash).ok()?;
        Some(repeated(pixels, decoded.good, frames.count))
    };
    let decoded: Vec<Option<Vec<u8>>> = images.par_iter().map_init(Resizer::new, squashed).collect();
    let mut batch = PixelBatch::of_clips(side, frames, images.len());
    // Images that do not decode were skipped while reading; a black image keeps the positions of the
    // remaining ones.
    let black = || vec![0; frames.count * side * side * 3];
    decoded.into_iter().for_each(|pixels| batch.push(&pixels.unwrap_or_else(black)));
    batch
}

/// The encoded images of some captioned ones.
pub(crate) fn encoded(images: &[Captioned]) -> Vec<&Bytes> {
    images.iter().map(|captioned| &captioned.image).collect()
}
