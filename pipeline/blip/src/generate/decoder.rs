//! The image-grounded decoder with its head, and the loop that decodes captions token by token.

use tch::{Device, TchError, Tensor};

use super::{GenerationOptions, logits};
use crate::{
    config::MedConfig,
    cross_attention::ImageKeys,
    error::ComputeError,
    heads::LmHead,
    text::{TextCache, TextTower},
    weights::Path,
};

/// A text tower with a language-model head.
pub struct Decoder {
    pub tower: TextTower,
    pub head: LmHead,
    /// `[SEP]`, the end token of a caption.
    pub end: i64,
    /// Id that finished captions get while other captions of the batch continue.
    pub pad: i64,
    pub device: Device,
}

/// Captions that are decoded together. Rows of one image are adjacent.
pub struct Rows {
    pub ids: Vec<Vec<i64>>,
    pub ended: Vec<bool>,
    /// Caption index of each row; rows of finished images have been removed.
    pub captions: Vec<usize>,
}

impl Decoder {
    /// Takes the decoder's tensors below `root`; `width` is the width of the states that it attends to.
    pub(crate) fn load(root: &Path<'_>, config: &MedConfig, width: i64, device: Device) -> Self {
        let (path, text) = (root.sub("text_decoder"), &config.text);
        let tower = TextTower::load(&path.sub("bert"), text, width);
        let head = LmHead::load(&path.sub("cls").sub("predictions"), config, tower.words());
        Self { tower, head, end: text.sep_token_id, pad: text.pad_token_id, device }
    }

    /// Logits (rows, vocabulary) of the token after `ids` (rows, new tokens), in f32.
    pub fn next_word(
        &self,
        ids: &Tensor,
        cache: &mut TextCache,
        image: &ImageKeys,
    ) -> Result<Tensor, TchError> {
        self.head.next_word(&self.tower.decode_step(ids, cache, image)?)
    }

    /// Copies a table of ids to the device.
    pub fn tensor(&self, ids: &[Vec<i64>]) -> Result<Tensor, TchError> {
        let width = ids.first().map_or(0, Vec::len) as i64;
        Tensor::f_from_slice(&ids.concat())?.f_reshape([ids.len() as i64, width])?.f_to_device(self.device)
    }

    /// Applies repetition penalty and minimum length, in the order of the paper's code. `scores` are logits,
    /// or log-probabilities in a beam search; `ids` are the tokens of each row so far.
    pub fn constrain(
        &self,
        scores: Tensor,
        ids: &[Vec<i64>],
        options: &GenerationOptions,
    ) -> Result<Tensor, TchError> {
        let scores = if options.repetition_penalty == 1.0 {
            scores
        } else {
            logits::penalise(&scores, &self.tensor(ids)?, options.repetition_penalty)?
        };
        let length = ids.first().map_or(0, Vec::len);
        if length < options.min_length { logits::forbid(&scores, self.end) } else { Ok(scores) }
    }

    /// Decodes `per_image` captions for each image until all have ended or have `max_length` ids. `choose`
    /// returns each row's next token from the step (counted from 0), the constrained logits and the rows. Its
    /// result for a finished row is ignored.
    pub fn grow(
        &self,
        image: &ImageKeys,
        prompt: &[i64],
        per_image: usize,
        options: &GenerationOptions,
        mut choose: impl FnMut(usize, &Tensor, &Rows) -> Result<Vec<i64>, ComputeError>,
    ) -> Result<Vec<Vec<i64>>, ComputeError> {
        let count = image.images() as usize * per_image;
        let mut rows = Rows::starting_with(prompt, count);
        let mut grown = vec![Vec::new(); count];
        let mut those_left: Option<ImageKeys> = None;
        let mut cache = TextCache::default();
        let mut input = self.tensor(&rows.ids)?;
        for step in 0..options.max_length - prompt.len() {
            let image = those_left.as_ref().unwrap_or(image);
            let scores = self.next_word(&input, &mut cache, image)?;
            let scores = self.constrain(scores, &rows.ids, options)?;
            let next = choose(step, &scores, &rows)?;
            rows.push(&next, self.end, self.pad);
            let (images, unfinished) = (rows.ids.len() / per_image, rows.unfinished(per_image));
            if unfinished.is_empty() {
                break;
            }
            // Removing rows copies the remaining ones. Rows are removed when half of the images have
            // finished, so that all copies together cost at most one copy of the batch.
            if 2 * unfinished.len() <= images {
                let of_images: Vec<i64> = unfinished.iter().map(|image| *image as i64).collect();
                let of_rows: Vec<usize> =
                    unfinished.iter().flat_map(|image| image * per_image..(image + 1) * per_image).collect();
                let index = |places: &[i64]| Tensor::f_from_slice(places)?.f_to_device(self.device);
                cache.reorder(&index(&of_rows.iter().map(|row| *row as i64).collect::<Vec<_>>())?)?;
                those_left = Some(image.select(&index(&of_images)?)?);
                rows.keep(&of_rows, &mut grown);
            }
            input = self.tensor(&rows.last())?;
        }
        rows.keep(&[], &mut grown);
        let trim = |ids| trimmed(ids, self.end, prompt.len());
        Ok(grown.into_iter().map(trim).collect())
    }
}

impl Rows {
    fn starting_with(prompt: &[i64], count: usize) -> Self {
        Self { ids: vec![prompt.to_vec(); count], ended: vec![false; count], captions: (0..count).collect() }
    }

    fn push(&mut self, next: &[i64], end: i64, pad: i64) {
        for ((ids, ended), next) in self.ids.iter_mut().zip(&mut self.ended).zip(next) {
            ids.push(if *ended { pad } else { *next });
            *ended |= *next == end;
        }
    }

    fn last(&self) -> Vec<Vec<i64>> {
        self.ids.iter().map(|ids| ids.last().copied().into_iter().collect()).collect()
    }

    /// Images with an unfinished caption.
    fn unfinished(&self, per_image: usize) -> Vec<usize> {
        let images = self.ended.chunks(per_image).enumerate();
        images.filter(|(_, ended)| ended.contains(&false)).map(|(image, _)| image).collect()
    }

    /// Continues with these rows; the other rows are moved to `grown`.
    fn keep(&mut self, rows: &[usize], grown: &mut [Vec<i64>]) {
        let kept = Self {
            ids: rows.iter().map(|row| std::mem::take(&mut self.ids[*row])).collect(),
            ended: rows.iter().map(|row| self.ended[*row]).collect(),
            captions: rows.iter().map(|row| self.captions[*row]).collect(),
        };
        let others = self.ids.drain(..).zip(&self.captions).filter(|(ids, _)| !ids.is_empty());
        others.for_each(|(ids, caption)| grown[*caption] = ids);
        *self = kept;
    }
}

/// Removes the padding after the end token. (A prompt may contain the end token's id; the caption does not
/// end there.)
fn trimmed(mut ids: Vec<i64>, end: i64, prompt: usize) -> Vec<i64> {
    let generated = ids[prompt..].iter().position(|id| *id == end);
    ids.truncate(generated.map_or(ids.len(), |at| prompt + at + 1));
    ids
}
