//! Greedy decoding: the most probable token at each step.

use tch::Tensor;

use super::{GenerationOptions, decoder::Decoder};
use crate::{cross_attention::ImageKeys, error::ComputeError};

/// One caption per image: all ids, with prompt and end token.
pub fn greedy(
    decoder: &Decoder,
    image: &ImageKeys,
    prompt: &[i64],
    options: &GenerationOptions,
) -> Result<Vec<Vec<i64>>, ComputeError> {
    decoder.grow(image, prompt, 1, options, |_, scores, _| likeliest(scores))
}

fn likeliest(scores: &Tensor) -> Result<Vec<i64>, ComputeError> {
    let (best, ids) = scores.f_max_dim(-1, false)?;
    let best = Vec::<f32>::try_from(best)?;
    if best.iter().any(|score| !score.is_finite()) {
        return Err(ComputeError::NotANumber("word scores"));
    }
    Ok(Vec::<i64>::try_from(ids)?)
}
