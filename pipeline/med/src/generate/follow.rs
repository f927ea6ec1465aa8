//! Captions that are given, word by word: how likely each of their words is, and which would be likeliest.

use capfilt_pipeline::model::WordOdds;
use tch::{Kind, Tensor};

use super::{GenerationOptions, decoder::Decoder, logits};
use crate::{cross_attention::ImageKeys, error::ComputeError};

/// One caption per image, all its ids, of which the first are the prompt's; what is returned is about the
/// others. An end within a caption ends it. Of `options` only what has no say in which words are possible
/// counts.
pub fn follow(
    decoder: &Decoder,
    image: &ImageKeys,
    prompt: &[i64],
    captions: &[Vec<i64>],
    options: &GenerationOptions,
) -> Result<Vec<Vec<WordOdds>>, ComputeError> {
    let max_length = captions.iter().map(Vec::len).max().unwrap_or(0);
    let options = GenerationOptions { min_length: 0, repetition_penalty: 1.0, max_length, ..options.clone() };
    let mut odds = vec![Vec::new(); captions.len()];
    decoder.grow(image, prompt, 1, &options, |step, scores, rows| {
        let given =
            |caption: &usize| captions[*caption].get(prompt.len() + step).copied().unwrap_or(decoder.pad);
        let words: Vec<i64> = rows.captions.iter().map(given).collect();
        let of_rows = odds_of(scores, &words, decoder)?.into_iter().zip(&rows.ended).zip(&rows.captions);
        for ((word, ended), caption) in of_rows {
            if !ended && prompt.len() + step < captions[*caption].len() {
                odds[*caption].push(word);
            }
        }
        Ok(words)
    })?;
    Ok(odds)
}

/// Of one word per row, given logits (rows, vocabulary).
fn odds_of(scores: &Tensor, words: &[i64], decoder: &Decoder) -> Result<Vec<WordOdds>, ComputeError> {
    let scores = scores.f_log_softmax(-1, Kind::Float)?;
    let column: Vec<Vec<i64>> = words.iter().map(|word| vec![*word]).collect();
    let given = scores.f_gather(1, &decoder.tensor(&column)?, false)?;
    let given = Vec::<f32>::try_from(given.f_contiguous()?.f_view([-1])?)?;
    if given.iter().any(|score| !score.is_finite()) {
        return Err(ComputeError::NotANumber("word scores"));
    }
    // The same search on the device that sampling starts with.
    let best = logits::best(&scores, 1)?;
    let odds = |(log_probability, best): (f32, Vec<(i64, f32)>)| {
        let (likeliest, highest) = best[0];
        WordOdds { log_probability, likeliest, highest }
    };
    Ok(given.into_iter().zip(best).map(odds).collect())
}
