//! The self-test: fixed questions for any model, and the comparison of a device's answers with known answers.
//!
//! The questions cover the values that decide a job's rows: P(match) and cosine of texts, and a captioner's
//! log-probabilities of the tokens of a caption. Sampled captions are not compared: where two tokens are
//! almost equally probable, the last bit of a probability decides which one is sampled, also on healthy
//! devices. The probabilities agree on healthy devices, and the host samples from them.

mod compare;
mod pictures;

pub use compare::{Agreement, NotReproduced, Tolerance};

use crate::{
    capfilt::CapFilt,
    model::{CaptionSource, Captioner, Filter, ModelError, SampleKey, TextScore, TokenLogProb},
};
use capfilt_schemas::self_test::{KnownAnswers, KnownCaption, KnownScore};
use pictures::{PICTURES, draw};

/// Texts of different lengths and subjects. A vocabulary without a word splits it into letters, or uses
/// `[UNK]`.
const TEXTS: [&str; 3] = ["a red circle", "two dogs run on a beach in the sun", "sale 50, free shipping"];

/// Reason why a self-test failed.
#[derive(Debug, thiserror::Error)]
pub enum NotProven {
    /// A model failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A model answers otherwise.
    #[error(transparent)]
    NotReproduced(#[from] NotReproduced),
}

/// Answers to the questions about scores.
///
/// # Errors
/// The model fails, or its output is not a number.
pub fn scores(filter: &mut dyn Filter) -> Result<Vec<KnownScore>, ModelError> {
    let mut known = Vec::new();
    for picture in PICTURES {
        let found = judge(filter, picture, &TEXTS)?;
        known.extend(TEXTS.iter().zip(found).map(|(text, score)| KnownScore {
            picture: picture.to_owned(),
            text: (*text).to_owned(),
            itm: score.itm,
            itc: score.itc,
        }));
    }
    Ok(known)
}

/// Answers to the questions about captions, from a captioner with greedy decoding and no minimum length.
///
/// # Errors
/// The model fails, or its output is not a number.
pub fn captions(greedy: &mut dyn Captioner) -> Result<Vec<KnownCaption>, ModelError> {
    let mut known = Vec::new();
    for picture in PICTURES {
        let pixels = draw(picture, greedy.image_side());
        let key = SampleKey { job_seed: 0, image_sha256: [0; 32] };
        let captions = greedy.caption(&pixels, &[key], 1)?;
        let ids = captions[0][0].ids.clone();
        let log_probs = score_tokens(greedy, picture, &ids)?;
        let log_probabilities = log_probs.iter().map(|word| word.log_probability).collect();
        known.push(KnownCaption { picture: picture.to_owned(), ids, log_probabilities });
    }
    Ok(known)
}

impl CapFilt {
    /// Compares the models' answers with the known ones (captions of another program have none), one picture
    /// at a time, because devices with little
    /// memory must not fail here.
    ///
    /// # Errors
    /// An answer is missing, is not a number or differs by more than the tolerance, or a model fails.
    pub fn prove(&mut self, known: &KnownAnswers, tolerance: Tolerance) -> Result<Agreement, NotProven> {
        let (captions, filter) = self.models();
        let captioner = match captions {
            CaptionSource::Model(captioner) => Some(captioner),
            CaptionSource::Nothing | CaptionSource::Remote(_) => None,
        };
        compare::is_whole(known, captioner.is_some())?;
        let mut agreement = Agreement::new(tolerance);
        for scores in known.scores.chunks(TEXTS.len()) {
            let texts: Vec<&str> = scores.iter().map(|score| score.text.as_str()).collect();
            agreement.add_scores(scores, &judge(filter, &scores[0].picture, &texts)?);
        }
        if let Some(captioner) = captioner {
            for caption in &known.captions {
                let found = score_tokens(captioner.as_mut(), &caption.picture, &caption.ids)?;
                agreement.add_caption(caption, &found);
            }
        }
        Ok(agreement.conclude()?)
    }
}

fn judge(filter: &mut dyn Filter, picture: &str, texts: &[&str]) -> Result<Vec<TextScore>, ModelError> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Ok(filter.score(&draw(picture, filter.image_side()), &[texts])?.swap_remove(0))
}

fn score_tokens(
    captioner: &mut dyn Captioner,
    picture: &str,
    ids: &[i64],
) -> Result<Vec<TokenLogProb>, ModelError> {
    Ok(captioner.log_probs(&draw(picture, captioner.image_side()), &[ids.to_vec()])?.swap_remove(0))
}
