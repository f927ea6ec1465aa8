//! Statements about pairs of images with their truth, from any input format that stores image bytes, and the
//! judgement of a reasoner.

use crate::{
    error::EvaluateError,
    pairs::{notes, pixels},
};
use bytes::Bytes;
use capfilt_blip::{BlipReasoner, Statement};
use capfilt_pipeline::{
    frames::Frames,
    image::{ImageLimits, decode},
    input::{ImageInput, InputColumns, PairColumns, ReadError, Sample, SecondImage, ShardReader},
};
use capfilt_schemas::plan::Shard;
use capfilt_store::Location;
use rayon::prelude::*;

/// Rows that are decoded at once.
const ROWS_AT_ONCE: usize = 256;

/// A statement about two images, as stored.
#[derive(Debug, Clone)]
pub struct Stated {
    /// Encoded first (left) and second (right) image.
    pub images: [Bytes; 2],
    /// Text of the statement.
    pub statement: String,
    /// Whether the statement is true.
    pub is_true: bool,
    /// Group of the statement, if a column of groups was read.
    pub group: Option<String>,
}

/// Statements of an evaluation. Memory: the encoded images.
#[derive(Debug, Default)]
pub struct Statements {
    /// Statements in the order of the rows.
    pub stated: Vec<Stated>,
    /// Rows without two usable images, a statement and a label.
    pub skipped: u64,
}

/// Reads shards until there are `most` statements. `columns` has the column of the statement as its text;
/// `group` is a column whose values group the accuracy.
///
/// # Errors
/// A file cannot be read, or a column has another type than required.
pub async fn read_statements(
    place: &Location,
    shards: &[Shard],
    columns: &InputColumns,
    pair: &PairColumns,
    group: Option<&str>,
    most: usize,
) -> Result<Statements, EvaluateError> {
    let mut found = Statements::default();
    let passthrough = pair.names().into_iter().chain(group.map(str::to_owned)).collect();
    let columns = InputColumns { passthrough, ..columns.clone() };
    for shard in shards {
        let mut reader = ShardReader::open(place, shard, columns.clone(), ROWS_AT_ONCE).await?;
        while let Some(rows) = reader.next().await? {
            let wrong = |source| ReadError::Column { file: shard.file.path.clone(), source };
            let seconds = pair.cells(&rows.passthrough).map_err(wrong)?;
            let groups = group.map(|name| notes(&rows, name)).transpose()?;
            let groups = groups.unwrap_or_else(|| vec![None; rows.samples.len()]);
            let rows: Vec<_> = rows.samples.into_par_iter().zip(seconds).zip(groups).map(stated).collect();
            found.add(rows, most);
            if found.stated.len() >= most {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

impl Statements {
    fn add(&mut self, rows: Vec<Option<Stated>>, most: usize) {
        for row in rows {
            match row {
                Some(row) if self.stated.len() < most => self.stated.push(row),
                Some(_) => {}
                None => self.skipped += 1,
            }
        }
    }
}

/// Row, second image and group of a row.
type Row = ((Sample, Option<SecondImage>), Option<String>);

/// The statement of a row; `None` if a part of it is missing or an image does not decode.
fn stated(((sample, second), group): Row) -> Option<Stated> {
    let (second, statement) = (second?, sample.text().filter(|text| !text.trim().is_empty())?.to_owned());
    let ImageInput::Bytes { bytes, .. } = sample.image else { return None };
    let images = [bytes, second.bytes];
    let decodes = |image: &Bytes| decode(image, &ImageLimits::default()).is_ok();
    let is_usable = sample.selected && images.iter().all(decodes);
    is_usable.then_some(Stated { images, statement, is_true: second.is_true, group })
}

/// Probability that each statement is true, `batch` statements at a time; `clean` prepares a statement for
/// the model. Calls `done` after each batch.
///
/// # Errors
/// The model fails.
pub fn judge_all(
    reasoner: &BlipReasoner,
    stated: &[Stated],
    batch: usize,
    clean: impl Fn(&str) -> String,
    mut done: impl FnMut(usize),
) -> Result<Vec<f32>, EvaluateError> {
    let mut probabilities = Vec::with_capacity(stated.len());
    for stated in stated.chunks(batch.max(1)) {
        let images: Vec<&Bytes> = stated.iter().flat_map(|row| &row.images).collect();
        let texts: Vec<String> = stated.iter().map(|row| clean(&row.statement)).collect();
        let statement = |(i, text)| Statement { images: [2 * i, 2 * i + 1], text };
        let statements: Vec<Statement<'_>> =
            texts.iter().map(String::as_str).enumerate().map(statement).collect();
        let pixels = pixels(&images, reasoner.images().side, Frames::ONE);
        probabilities.extend(reasoner.probabilities(&pixels, &statements)?);
        done(probabilities.len());
    }
    Ok(probabilities)
}
