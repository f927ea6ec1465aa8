//! The known-answer test: questions every model can be asked, and whether a device answers them as they were
//! answered.
//!
//! What is asked is what a job's rows come from: P(match) and cosine of texts, and how likely a captioner
//! finds the words of a caption. Sampled captions are not compared. Which word is drawn hangs on the last bit
//! of a probability wherever two words are nearly alike, on healthy devices too; the probabilities themselves
//! are near each other or something is wrong, and the draw from them is plain arithmetic that no device does.

mod compare;
mod pictures;

pub use compare::{Agreement, NotReproduced, Tolerance};

use crate::{
    capfilt::CapFilt,
    model::{Captioner, Filter, ModelError, SampleKey, TextScore, WordOdds},
};
use capfilt_schemas::known_answers::{KnownAnswers, KnownCaption, KnownScore};
use pictures::{PICTURES, draw};

/// Texts of other lengths and other subjects. A vocabulary that lacks a word has its letters, or `[UNK]`.
const TEXTS: [&str; 3] = ["a red circle", "two dogs run on a beach in the sun", "sale 50, free shipping"];

/// Why a worker has not proven itself.
#[derive(Debug, thiserror::Error)]
pub enum NotProven {
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    NotReproduced(#[from] NotReproduced),
}

/// Answers to the questions about scores.
///
/// # Errors
/// When the model fails, and when it answers with what is no number.
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

/// Answers to the questions about captions, from a captioner that always takes the likeliest word and ends
/// when it likes.
///
/// # Errors
/// When the model fails, and when it answers with what is no number.
pub fn captions(greedy: &mut dyn Captioner) -> Result<Vec<KnownCaption>, ModelError> {
    let mut known = Vec::new();
    for picture in PICTURES {
        let pixels = draw(picture, greedy.image_side());
        let key = SampleKey { job_seed: 0, image_sha256: [0; 32] };
        let captions = greedy.caption(&pixels, &[key], 1)?;
        let ids = captions[0][0].ids.clone();
        let odds = follow(greedy, picture, &ids)?;
        let log_probabilities = odds.iter().map(|word| word.log_probability).collect();
        known.push(KnownCaption { picture: picture.to_owned(), ids, log_probabilities });
    }
    Ok(known)
}

impl CapFilt {
    /// Asks the models what is known, one picture at a time: a device with little memory must not fail here.
    ///
    /// # Errors
    /// When an answer is missing, is no number or is farther away than the tolerance, or when a model fails.
    pub fn prove(&mut self, known: &KnownAnswers, tolerance: Tolerance) -> Result<Agreement, NotProven> {
        compare::is_whole(known)?;
        let (captioner, filter) = self.models();
        let mut agreement = Agreement::new(tolerance);
        for scores in known.scores.chunks(TEXTS.len()) {
            let texts: Vec<&str> = scores.iter().map(|score| score.text.as_str()).collect();
            agreement.add_scores(scores, &judge(filter, &scores[0].picture, &texts)?);
        }
        for caption in &known.captions {
            agreement.add_caption(caption, &follow(captioner, &caption.picture, &caption.ids)?);
        }
        Ok(agreement.conclude()?)
    }
}

fn judge(filter: &mut dyn Filter, picture: &str, texts: &[&str]) -> Result<Vec<TextScore>, ModelError> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    Ok(filter.score(&draw(picture, filter.image_side()), &[texts])?.swap_remove(0))
}

fn follow(captioner: &mut dyn Captioner, picture: &str, ids: &[i64]) -> Result<Vec<WordOdds>, ModelError> {
    Ok(captioner.odds(&draw(picture, captioner.image_side()), &[ids.to_vec()])?.swap_remove(0))
}
