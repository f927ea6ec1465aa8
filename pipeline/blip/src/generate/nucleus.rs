//! Nucleus sampling: CapFilt's decoding (BLIP, section 4.3).

use capfilt_pipeline::model::SampleKey;
use tch::Tensor;

use super::{
    GenerationOptions,
    decoder::Decoder,
    logits::{self, Candidate},
    sampler,
};
use crate::{cross_attention::ImageKeys, error::ComputeError};

/// `captions` captions per image, ordered by image: all ids, with prompt and end token. `keys[i]` seeds the
/// random numbers of image `i`. `watch` receives the caption and the distribution of every sampled token.
pub fn nucleus(
    decoder: &Decoder,
    image: &ImageKeys,
    prompt: &[i64],
    keys: &[SampleKey],
    captions: usize,
    options: &GenerationOptions,
    mut watch: impl FnMut(usize, &[Candidate]),
) -> Result<Vec<Vec<i64>>, ComputeError> {
    decoder.grow(image, prompt, captions, options, |step, scores, rows| {
        let distributions = distributions(scores, options)?;
        let draw = |(row, candidates): (usize, Vec<Candidate>)| {
            if rows.ended[row] {
                return decoder.pad;
            }
            let caption = rows.captions[row];
            watch(caption, &candidates);
            sampler::draw(&candidates, sampler::uniform(&keys[caption / captions], caption % captions, step))
        };
        Ok(distributions.into_iter().enumerate().map(draw).collect())
    })
}

/// Distribution of each row's next token, given its constrained logits (rows, vocabulary).
pub fn distributions(
    scores: &Tensor,
    options: &GenerationOptions,
) -> Result<Vec<Vec<Candidate>>, ComputeError> {
    let rows = logits::best(scores, options.top_k)?;
    Ok(rows.into_iter().map(|row| logits::nucleus(row, options.top_k, options.top_p)).collect())
}
