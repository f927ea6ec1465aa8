//! Teacher forcing: the log-probability of each token of given captions, and the most probable token at each
//! position.

use capfilt_pipeline::model::TokenLogProb;
use tch::{Kind, Tensor};

use super::{GenerationOptions, decoder::Decoder, logits};
use crate::{cross_attention::ImageKeys, error::ComputeError};

/// Scores one caption per image. A caption is a list of ids that begins with the prompt; the result has one
/// entry per token after the prompt, up to the first end token. The options that constrain tokens (minimum
/// length, repetition penalty) are ignored.
pub fn score_tokens(
    decoder: &Decoder,
    image: &ImageKeys,
    prompt: &[i64],
    captions: &[Vec<i64>],
    options: &GenerationOptions,
) -> Result<Vec<Vec<TokenLogProb>>, ComputeError> {
    let max_length = captions.iter().map(Vec::len).max().unwrap_or(0);
    let options = GenerationOptions { min_length: 0, repetition_penalty: 1.0, max_length, ..options.clone() };
    let mut log_probs = vec![Vec::new(); captions.len()];
    decoder.grow(image, prompt, 1, &options, |step, scores, rows| {
        let given =
            |caption: &usize| captions[*caption].get(prompt.len() + step).copied().unwrap_or(decoder.pad);
        let words: Vec<i64> = rows.captions.iter().map(given).collect();
        let of_rows = log_probs_of(scores, &words, decoder)?.into_iter().zip(&rows.ended).zip(&rows.captions);
        for ((word, ended), caption) in of_rows {
            if !ended && prompt.len() + step < captions[*caption].len() {
                log_probs[*caption].push(word);
            }
        }
        Ok(words)
    })?;
    Ok(log_probs)
}

/// Log-probability of one token per row, given logits (rows, vocabulary).
fn log_probs_of(
    scores: &Tensor,
    words: &[i64],
    decoder: &Decoder,
) -> Result<Vec<TokenLogProb>, ComputeError> {
    let scores = scores.f_log_softmax(-1, Kind::Float)?;
    let column: Vec<Vec<i64>> = words.iter().map(|word| vec![*word]).collect();
    let given = scores.f_gather(1, &decoder.tensor(&column)?, false)?;
    let given = Vec::<f32>::try_from(given.f_contiguous()?.f_view([-1])?)?;
    if given.iter().any(|score| !score.is_finite()) {
        return Err(ComputeError::NotANumber("word scores"));
    }
    // The same device search as in sampling.
    let best = logits::best(&scores, 1)?;
    let log_probs = |(log_probability, best): (f32, Vec<(i64, f32)>)| {
        let (likeliest, highest) = best[0];
        TokenLogProb { log_probability, likeliest, highest }
    };
    Ok(given.into_iter().zip(best).map(log_probs).collect())
}
