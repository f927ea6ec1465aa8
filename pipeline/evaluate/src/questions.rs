//! Questions about images with the answers of people, from any input format.

use crate::error::EvaluateError;
use bytes::Bytes;
use capfilt_pipeline::{
    frames::{Frames, decode_each},
    image::ImageLimits,
    input::{ImageInput, InputColumns, Sample, ShardReader},
};
use capfilt_schemas::plan::Shard;
use capfilt_store::Location;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

/// Rows that are decoded at once.
const ROWS_AT_ONCE: usize = 256;
/// Largest number of answers of a question that are read; VQA has 10.
const MOST_ANSWERS: usize = 100;

/// A question about an image, as stored.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Encoded image, or packed clip.
    pub image: Bytes,
    /// SHA-256 of the encoded image.
    pub sha256: [u8; 32],
    /// Text of the question.
    pub question: String,
    /// Answers of people, with repetitions; at least one.
    pub answers: Vec<String>,
}

/// Questions of an evaluation. Memory: the encoded image of each row; bytes of a row group are shared.
#[derive(Debug, Default)]
pub struct Questions {
    /// Questions in the order of the rows.
    pub asked: Vec<Asked>,
    /// Rows without a usable image, question or answer.
    pub skipped: u64,
}

/// Reads shards until there are `most` questions about images, or about `clips` with these frames. `columns`
/// has the column of the question as its text; `answers` is a column with a text or a list of texts.
///
/// # Errors
/// A file cannot be read.
pub async fn read_questions(
    place: &Location,
    shards: &[Shard],
    columns: &InputColumns,
    answers: &str,
    most: usize,
    clips: Option<Frames>,
) -> Result<Questions, EvaluateError> {
    let (mut found, frames) = (Questions::default(), clips.unwrap_or(Frames::ONE));
    let mut columns = InputColumns { most_texts: MOST_ANSWERS, ..columns.clone() };
    columns.texts.push(answers.into());
    for shard in shards {
        let mut reader = ShardReader::open(place, shard, columns.clone(), ROWS_AT_ONCE).await?;
        while let Some(rows) = reader.next().await? {
            let rows: Vec<_> =
                rows.samples.into_par_iter().map(|sample| asked(sample, answers, frames)).collect();
            for row in rows {
                match row {
                    Some(row) if found.asked.len() < most => found.asked.push(row),
                    Some(_) => {}
                    None => found.skipped += 1,
                }
            }
            if found.asked.len() >= most {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// The question of a row; `None` if a part of it is missing or the image does not decode.
fn asked(sample: Sample, answers_column: &str, frames: Frames) -> Option<Asked> {
    let (mut question, mut answers) = (None, Vec::new());
    for text in &sample.texts {
        let Some(found) = text.text.as_text().filter(|text| !text.trim().is_empty()) else { continue };
        match &*text.source == answers_column {
            true => answers.push(found.to_owned()),
            false => question = question.or(Some(found.to_owned())),
        }
    }
    match sample.image {
        ImageInput::Bytes { bytes, .. } if sample.selected && !answers.is_empty() => {
            let sha256 = Sha256::digest(&bytes).into();
            decode_each(&bytes, frames.count, &ImageLimits::default(), |_| ()).ok()?;
            Some(Asked { image: bytes, sha256, question: question?, answers })
        }
        _ => None,
    }
}
