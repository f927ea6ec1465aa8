//! Rows of image files and texts.

use crate::{error::MeasureError, trial::ModelTrial};
use capfilt_blip::{BlipCaptioner, BlipFilter};
use capfilt_pipeline::{
    image_file::{self, ImageFileError},
    input::{ImageInput, Sample, SourceText, TextInput},
    model::{Captioner as _, Filter as _},
    prepare::{Prepared, PreparedImage, PreparedText},
    text::pre_caption,
};
use capfilt_schemas::{hash::sha256, settings};
use std::{fs, path::Path};

/// Makes one row per text, as a worker process passes rows to the models.
pub fn rows(
    trial: &ModelTrial,
    captioner: &BlipCaptioner,
    filter: &BlipFilter,
) -> Result<Vec<Prepared>, MeasureError> {
    let texts = fs::read_to_string(&trial.texts)
        .map_err(|source| MeasureError::Texts { path: trial.texts.to_owned(), source })?;
    let texts: Vec<&str> = texts.lines().filter(|line| !line.trim().is_empty()).collect();
    let files = image_file::list(&trial.images)?;
    if texts.is_empty() || files.is_empty() {
        return Err(MeasureError::Empty { texts: trial.texts.to_owned(), images: trial.images.to_owned() });
    }
    let images = files.iter().map(|file| Picture::read(file, captioner.image_side(), filter.image_side()));
    let images = images.collect::<Result<Vec<_>, _>>()?;
    let control = |i: usize| trial.control.then(|| pre_caption(texts[(i + 1) % texts.len()], words()));
    // With fewer images than texts, images are used again: the values of pixels do not affect the speed.
    let row = |(i, text): (usize, &&str)| images[i % images.len()].row(i, text, control(i));
    Ok(texts.iter().enumerate().map(row).collect())
}

/// An image file, as both models receive its pixels.
struct Picture {
    bytes: Vec<u8>,
    image: PreparedImage,
}

impl Picture {
    fn read(path: &Path, captioner_side: usize, filter_side: usize) -> Result<Self, ImageFileError> {
        let (bytes, for_captioner) = image_file::read(path, captioner_side)?;
        let (_, for_filter) = image_file::read(path, filter_side)?;
        let image = PreparedImage {
            width: captioner_side as u32,
            height: captioner_side as u32,
            hash: None,
            captioner_u8: for_captioner.pixels_u8().to_vec().into(),
            filter_u8: for_filter.pixels_u8().to_vec().into(),
            clip_u8: Default::default(),
            note: None,
        };
        Ok(Self { bytes, image })
    }

    fn row(&self, i: usize, text: &str, control: Option<String>) -> Prepared {
        let sample = Sample {
            row: i as u64,
            key: None,
            member: None,
            image: ImageInput::Missing,
            texts: vec![SourceText { source: "text".into(), text: TextInput::Text(text.to_owned()) }],
            selected: true,
            control,
            note: None,
        };
        // A separate seed per row, so that the captions of a reused image differ.
        let digest = sha256(&[self.bytes.as_slice(), &i.to_le_bytes()].concat());
        let texts = vec![PreparedText::of(text, words(), &[])];
        Prepared { sample, image_sha256: Some(digest), image: Ok(self.image.clone()), texts }
    }
}

/// Largest number of words of a cleaned text.
fn words() -> usize {
    settings::Filter::default().max_words as usize
}

/// Mean number of tokens of a row's web text and negative control.
pub fn given_tokens(filter: &BlipFilter, rows: &[Prepared]) -> Result<f64, MeasureError> {
    let most = filter.config().text.max_position_embeddings as usize;
    let mut tokens = 0;
    for row in rows {
        let cleaned = row.texts.iter().filter_map(|text| text.cleaned.as_ref().ok());
        for text in cleaned.chain(&row.sample.control) {
            tokens += filter.tokens().encode(text, most).map_err(MeasureError::Tokens)?.len();
        }
    }
    Ok(tokens as f64 / rows.len() as f64)
}
