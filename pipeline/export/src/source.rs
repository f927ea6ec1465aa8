//! The pairs of all sources, one after the other.

use super::Pair;
use capfilt_bucket::Place;
use capfilt_pipeline::{
    input::{CleanedRow, ImageInput, InputColumns, KeptText, PairsReader, ReadError, Sample, ShardReader},
    text::pre_caption,
};
use capfilt_schemas::{
    commit::Output,
    export::{self, Origin},
    pairs,
    plan::Shard,
    settings::training_data::Texts,
};
use std::collections::VecDeque;

/// Rows decoded from Parquet at a time.
const ROWS_AT_ONCE: usize = 256;

/// One source of pairs.
pub struct Source {
    /// What it is, for the record.
    pub record: export::Source,
    pub place: Place,
    pub content: Content,
}

/// What a source holds.
pub enum Content {
    /// Files of pairs that people wrote.
    Human { shards: Vec<Shard>, columns: InputColumns },
    /// The pairs tables of a finished job, and which of the texts are wanted.
    Job { tables: Vec<Output>, texts: Texts, max_words: usize },
}

impl Source {
    /// Files, or parts of them, that it is read by.
    pub(crate) fn parts(&self) -> usize {
        match &self.content {
            Content::Human { shards, .. } => shards.len(),
            Content::Job { tables, .. } => tables.len(),
        }
    }

    /// Opens one of the parts.
    pub(crate) async fn open(&self, part: usize) -> Result<Reader, ReadError> {
        Ok(match &self.content {
            Content::Human { shards, columns } => {
                let reader = ShardReader::open(&self.place, &shards[part], columns.clone(), ROWS_AT_ONCE).await?;
                Reader::Human { reader: Box::new(reader), max_words: columns.max_words }
            }
            Content::Job { tables, texts, max_words } => {
                let reader = PairsReader::open(&self.place, &tables[part]).await?;
                Reader::Job { reader: Box::new(reader), texts: *texts, max_words: *max_words }
            }
        })
    }
}

/// Reads a part.
pub(crate) enum Reader {
    Human { reader: Box<ShardReader>, max_words: usize },
    Job { reader: Box<PairsReader>, texts: Texts, max_words: usize },
}

impl Reader {
    /// The next pairs, `None` for each that has no image or no text; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<VecDeque<Option<Pair>>>, ReadError> {
        match self {
            Self::Human { reader, max_words } => {
                let rows = reader.next().await?;
                let selected = |sample: &Sample| sample.selected;
                Ok(rows.map(|rows| {
                    rows.samples.into_iter().filter(selected).map(|sample| human(sample, *max_words)).collect()
                }))
            }
            Self::Job { reader, texts, max_words } => {
                let rows = reader.next().await?;
                Ok(rows.map(|rows| rows.iter().flat_map(|row| cleaned(row, *texts, *max_words)).collect()))
            }
        }
    }
}

fn human(sample: Sample, max_words: usize) -> Option<Pair> {
    let text = pre_caption(sample.text.as_text()?, max_words);
    match sample.image {
        ImageInput::Bytes { bytes: image, .. } if !text.is_empty() => {
            Some(Pair { key: sample.key, image, text, origin: Origin::Human, itm: None })
        }
        _ => None,
    }
}

fn cleaned(row: &CleanedRow, texts: Texts, max_words: usize) -> Vec<Option<Pair>> {
    let pair = |kept: &KeptText| {
        let text = pre_caption(&kept.text, max_words);
        let origin = if kept.source == pairs::Source::Web { Origin::Web } else { Origin::Synthetic };
        let is_usable = !text.is_empty() && !row.image.is_empty();
        is_usable.then(|| Pair { key: row.key.clone(), image: row.image.clone(), text, origin, itm: Some(kept.itm) })
    };
    row.texts(texts).into_iter().map(pair).collect()
}
