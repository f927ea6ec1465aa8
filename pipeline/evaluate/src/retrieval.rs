//! Retrieval: all texts and images by the cosine of the contrastive head, then the best candidates by the
//! matching head (BLIP, section 5.1).

use crate::{
    error::EvaluateError,
    pairs::{Captioned, encoded, pixels},
    ranks::{Recalls, rank},
};
use capfilt_blip::{BlipFilter, SplitFrames as _};
use capfilt_pipeline::{frames::Frames, model::Filter as _, text::pre_caption};
use serde::Serialize;
use std::fmt;
use tch::{Device, Kind, Tensor};

/// Words of a text that the original code uses.
const MAX_WORDS: usize = 30;
/// Texts per call of the text tower.
const TEXTS_AT_ONCE: usize = 256;

/// Recalls, from texts to images and from images to texts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recalled {
    /// Number of images.
    pub images: usize,
    /// Number of texts.
    pub texts: usize,
    /// Texts for an image: any text of the image is right.
    pub text_by_cosine: Recalls,
    /// Images for a text: the image of the text is right.
    pub image_by_cosine: Recalls,
    /// After matching; `None` if it was not requested.
    pub text_by_match: Option<Recalls>,
    /// As above, for images.
    pub image_by_match: Option<Recalls>,
}

impl Recalled {
    /// Mean of all recalls after matching; `None` without matching.
    pub fn mean(&self) -> Option<f64> {
        Some((self.text_by_match?.mean() + self.image_by_match?.mean()) / 2.0)
    }
}

/// A table for people.
impl fmt::Display for Recalled {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} images, {} texts          R@1    R@5   R@10    MdR", self.images, self.texts)?;
        let lines = [
            ("text for image, by cosine", Some(self.text_by_cosine)),
            ("image for text, by cosine", Some(self.image_by_cosine)),
            ("text for image, by matching", self.text_by_match),
            ("image for text, by matching", self.image_by_match),
        ];
        for (label, recalls) in lines {
            if let Some(Recalls { r1, r5, r10, median_rank }) = recalls {
                let median = median_rank.map_or("–".to_owned(), |rank| format!("{rank:.1}"));
                write!(out, "\n{label:30} {r1:6.1} {r5:6.1} {r10:6.1} {median:>6}")?;
            }
        }
        Ok(())
    }
}

/// All texts, cleaned as in BLIP, each with its image.
struct Texts {
    all: Vec<String>,
    image: Vec<usize>,
}

/// Ranks all texts and images of a collection, or `clips` with these frames. `top_k`: number of candidates by
/// cosine that the matching head scores, 0 for none. `done` receives the number of finished images and of
/// passes.
///
/// Memory: images × texts × 4 bytes of cosines.
///
/// # Errors
/// There are fewer than two images, or the model fails.
pub fn retrieve(
    filter: &BlipFilter,
    images: &[Captioned],
    top_k: usize,
    batch: usize,
    clips: Option<Frames>,
    mut done: impl FnMut(usize),
) -> Result<Recalled, EvaluateError> {
    let frames = clips.unwrap_or(Frames::ONE);
    if images.len() < 2 {
        return Err(EvaluateError::TooFew { images: images.len() });
    }
    let texts = Texts::of(images);
    let cosines = tch::no_grad(|| cosines(filter, images, &texts, (batch, frames), &mut done))?;
    let rows = Rows::of(&cosines)?;
    let text_ranks: Vec<f64> = (0..images.len())
        .map(|image| rank(rows.of_image(image), |text| texts.image[text] == image))
        .collect();
    let image_ranks: Vec<f64> = (0..texts.all.len())
        .map(|text| rank(rows.of_text(text), |image| texts.image[text] == image))
        .collect();
    let (text_by_match, image_by_match) = match top_k {
        0 => (None, None),
        k => {
            let collection = Reranked { filter, images, texts: &texts, rows: &rows, frames };
            let matched = tch::no_grad(|| collection.rerank(&cosines, k, &mut done))?;
            (Some(Recalls::of(&matched.0)), Some(Recalls::of(&matched.1)))
        }
    };
    Ok(Recalled {
        images: images.len(),
        texts: texts.all.len(),
        text_by_cosine: Recalls::of(&text_ranks),
        image_by_cosine: Recalls::of(&image_ranks),
        text_by_match,
        image_by_match,
    })
}

impl Texts {
    fn of(images: &[Captioned]) -> Self {
        let all = images
            .iter()
            .flat_map(|image| image.texts.iter().map(|text| pre_caption(text, MAX_WORDS)))
            .collect();
        let image = images
            .iter()
            .enumerate()
            .flat_map(|(i, image)| std::iter::repeat_n(i, image.texts.len()))
            .collect();
        Self { all, image }
    }
}

/// Cosines in plain memory: (images, texts), row by row.
struct Rows {
    values: Vec<f32>,
    texts: usize,
}

impl Rows {
    fn of(cosines: &Tensor) -> Result<Self, EvaluateError> {
        let texts = cosines.size2()?.1 as usize;
        Ok(Self { values: Vec::<f32>::try_from(cosines.f_reshape([-1])?)?, texts })
    }

    fn of_image(&self, image: usize) -> impl Iterator<Item = (usize, f32)> + Clone {
        self.values[image * self.texts..(image + 1) * self.texts].iter().copied().enumerate()
    }

    fn of_text(&self, text: usize) -> impl Iterator<Item = (usize, f32)> + Clone {
        self.values[text..].iter().step_by(self.texts).copied().enumerate()
    }

    fn at(&self, image: usize, text: usize) -> f32 {
        self.values[image * self.texts + text]
    }
}

/// Cosines (images, texts) in f32 on the CPU.
fn cosines(
    filter: &BlipFilter,
    images: &[Captioned],
    texts: &Texts,
    (batch, frames): (usize, Frames),
    done: &mut impl FnMut(usize),
) -> Result<Tensor, EvaluateError> {
    let texts: Vec<&str> = texts.all.iter().map(String::as_str).collect();
    let text_features = texts.chunks(TEXTS_AT_ONCE).map(|texts| filter.text_features(&filter.batch(texts)?));
    let text_features = Tensor::f_cat(&text_features.collect::<Result<Vec<_>, _>>()?, 0)?;
    let mut rows = Vec::new();
    for (i, chunk) in images.chunks(batch.max(1)).enumerate() {
        let pixels = pixels(&encoded(chunk), filter.image_side(), frames);
        let features = filter.image_features(&filter.images().states(&pixels)?, frames)?;
        rows.push(features.f_matmul(&text_features.f_tr()?)?.f_to_device(Device::Cpu)?);
        done(i * batch + chunk.len());
    }
    Ok(Tensor::f_cat(&rows, 0)?)
}

/// Images and texts whose best pairs are scored by the matching head.
struct Reranked<'a> {
    filter: &'a BlipFilter,
    images: &'a [Captioned],
    texts: &'a Texts,
    rows: &'a Rows,
    frames: Frames,
}

impl Reranked<'_> {
    /// Ranks of the right texts of each image and of the right image of each text, by matching logit plus
    /// cosine, among the `k` best by cosine; other answers are not found. Each image is encoded once for all
    /// its candidates.
    fn rerank(
        &self,
        cosines: &Tensor,
        k: usize,
        done: &mut impl FnMut(usize),
    ) -> Result<(Vec<f64>, Vec<f64>), EvaluateError> {
        let Self { images, texts, rows, .. } = self;
        let texts_of = best(cosines, k, 1)?;
        let images_of = best(&cosines.f_tr()?, k, 1)?;
        let mut wanted: Vec<Vec<usize>> = texts_of.clone();
        for (text, images) in images_of.iter().enumerate() {
            images.iter().for_each(|image| wanted[*image].push(text));
        }
        let mut of_text: Vec<Vec<(usize, f32)>> = vec![Vec::new(); texts.all.len()];
        let mut text_ranks = Vec::with_capacity(images.len());
        for (image, mut candidates) in wanted.into_iter().enumerate() {
            candidates.sort_unstable();
            candidates.dedup();
            let logits = self.logits(image, &candidates)?;
            let scored: Vec<(usize, f32)> = candidates
                .iter()
                .zip(logits)
                .map(|(text, logit)| (*text, logit + rows.at(image, *text)))
                .collect();
            let own = |(text, _): &(usize, f32)| texts_of[image].contains(text);
            text_ranks.push(rank(scored.iter().copied().filter(own), |text| texts.image[text] == image));
            for (text, score) in scored {
                if images_of[text].contains(&image) {
                    of_text[text].push((image, score));
                }
            }
            done(images.len() + image + 1);
        }
        let image_rank = |(text, scores): (usize, &Vec<(usize, f32)>)| {
            rank(scores.iter().copied(), |image| texts.image[text] == image)
        };
        Ok((text_ranks, of_text.iter().enumerate().map(image_rank).collect()))
    }

    /// The matching head's logits of "match" for an image's candidates. Memory: the keys of the image; for a
    /// clip whose tokens are concatenated, BLIP-base at 384 px has 42 MB per frame in f32.
    fn logits(&self, image: usize, candidates: &[usize]) -> Result<Vec<f32>, EvaluateError> {
        let Self { filter, frames, .. } = self;
        let pixels = pixels(&[&self.images[image].image], filter.image_side(), *frames);
        let states = filter.images().states(&pixels)?;
        let texts: Vec<&str> = candidates.iter().map(|text| self.texts.all[*text].as_str()).collect();
        let (mut all, mut keys) = (Vec::with_capacity(texts.len()), None);
        for texts in texts.chunks(TEXTS_AT_ONCE) {
            let split = frames.split(&states, &filter.batch(texts)?)?;
            // The keys of an image are equal for all texts.
            let keys = match &mut keys {
                Some(keys) => keys,
                keys => keys.insert(filter.projected_keys(&split.states)?),
            };
            let logits = filter.itm_logits(&split.texts, keys)?.f_select(1, 1)?.f_to_kind(Kind::Float)?;
            let logits = frames.join(&logits, texts.len() as i64)?;
            all.extend(Vec::<f32>::try_from(logits.f_contiguous()?)?);
        }
        Ok(all)
    }
}

/// Columns of the `k` largest values of each row.
fn best(cosines: &Tensor, k: usize, axis: i64) -> Result<Vec<Vec<usize>>, EvaluateError> {
    let k = k.min(cosines.size2()?.1 as usize);
    let (_, columns) = cosines.f_topk(k as i64, axis, true, true)?;
    let columns = Vec::<i64>::try_from(columns.f_reshape([-1])?)?;
    Ok(columns.chunks(k).map(|row| row.iter().map(|column| *column as usize).collect()).collect())
}
