//! Reader for the rows of a shard of a tar, in order and in small batches.

use super::{
    cells,
    draft::{Draft, Limits},
    places::{Place, Places},
};
use crate::input::{
    ImageInput, InputColumns, ReadError, Rows, Sample, SourceText, control::ControlTexts, selection,
};
use arrow::{
    datatypes::{DataType, Field},
    error::ArrowError,
};
use capfilt_schemas::plan::{InputFormat, Shard};
use capfilt_store::{
    Location, PinnedObject,
    tar::{TarItem, TarStream},
};
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of the tar that are read at once; as many are read ahead.
const PIECE_BYTES: u64 = 4 << 20;

/// Bytes of the rows that are returned at once, unless a single row is larger.
const CHUNK_BYTES: u64 = 64 << 20;

/// Bytes of a text that are read and written, unless `limits.text_bytes` is larger.
const TEXT_BYTES: u64 = 1 << 20;

/// Memory of a row in addition to its values: its records here, in the ledger, and between the stages.
const ROW_BYTES: u64 = 1 << 10;

/// Reads one shard, up to `batch_rows` samples or 64 MiB at a time.
///
/// Memory: two pieces of the tar, the returned rows, and one sample.
pub(in crate::input) struct TarReader {
    stream: TarStream,
    places: Places,
    columns: InputColumns,
    passthrough: Vec<Field>,
    shard: Shard,
    batch_rows: usize,
    next_row: u64,
    /// Texts of the earlier rows of the shard.
    control: ControlTexts,
    /// The sample whose members are being read.
    open: Option<Draft>,
    /// The row that follows the open sample.
    damage: Option<Draft>,
}

impl TarReader {
    /// Opens the shard's tar; nothing is read.
    pub fn open(input: &Location, shard: &Shard, columns: InputColumns, batch_rows: usize) -> Self {
        let object = PinnedObject::new(input, &shard.file);
        let stream = match InputFormat::of(&shard.file.path) {
            InputFormat::TarGz => TarStream::of_gzip(object, PIECE_BYTES),
            _ => TarStream::of_object(object, shard.part.range(), PIECE_BYTES),
        };
        let field = |name: &String| Field::new(name, DataType::Utf8, true);
        Self {
            stream,
            places: Places::of(&columns),
            passthrough: columns.passthrough.iter().map(field).collect(),
            control: ControlTexts::new(columns.max_words, columns.seed),
            columns,
            shard: shard.clone(),
            batch_rows: batch_rows.max(1),
            next_row: shard.first_row,
            open: None,
            damage: None,
        }
    }

    /// Pass-through columns: texts, because the keys of JSON objects have no types.
    pub fn passthrough(&self) -> &[Field] {
        &self.passthrough
    }

    /// Returns the next rows, or `None` after the last. An exact number of rows is compared with the plan.
    pub async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        let (mut drafts, mut bytes) = (Vec::new(), 0);
        while drafts.len() < self.batch_rows && bytes < CHUNK_BYTES {
            let Some(draft) = self.next_sample().await? else { break };
            bytes += draft.bytes() + ROW_BYTES;
            drafts.push(draft);
        }
        if drafts.is_empty() { self.finish() } else { self.rows(drafts).map(Some) }
    }

    async fn next_sample(&mut self) -> Result<Option<Draft>, ReadError> {
        let file = &self.shard.file.path;
        let store = |source| ReadError::Store { file: file.clone(), source: Box::new(source) };
        let InputColumns { image_bytes, text_bytes, .. } = self.columns;
        let limits = Limits { image_bytes, text_bytes: TEXT_BYTES.max(text_bytes + 1) };
        while let Some(item) = self.stream.next().await.map_err(store)? {
            match item {
                TarItem::Member(member) => {
                    let done = if member.is_first { self.open.take() } else { None };
                    let draft = self.open.get_or_insert_with(|| Draft::new(member.key.clone()));
                    draft.add(&member, &mut self.stream, &self.places, limits).await.map_err(store)?;
                    if done.is_some() {
                        return Ok(done);
                    }
                }
                // Without a sample before it, the file is not a tar.
                TarItem::Damage { why, .. } if self.open.is_none() => {
                    return Err(ReadError::Tar { file: file.clone(), why });
                }
                TarItem::Damage { at, why } => self.damage = Some(Draft::damage(at, &why)),
            }
        }
        Ok(self.open.take().or_else(|| self.damage.take()))
    }

    fn finish(&self) -> Result<Option<Rows>, ReadError> {
        let (planned, found) = (self.shard.rows, self.next_row - self.shard.first_row);
        match self.shard.may_have(found) {
            true => Ok(None),
            false => Err(ReadError::Rows { file: self.shard.file.path.clone(), planned, found }),
        }
    }

    fn rows(&mut self, mut drafts: Vec<Draft>) -> Result<Rows, ReadError> {
        let selected = self.selected(&mut drafts)?;
        let passthrough = self.places.passthrough.iter();
        let passthrough = passthrough.map(|(name, place)| (name.as_str(), place, DataType::Utf8));
        let passthrough = cells::batch(&mut drafts, passthrough).map_err(|error| self.arrow(error))?;
        let bytes = drafts.iter().map(|draft| draft.bytes() + ROW_BYTES).collect();
        let samples = drafts.into_iter().zip(selected);
        let samples = samples.map(|(draft, selected)| self.sample(draft, selected)).collect();
        Ok(Rows { samples, bytes, passthrough })
    }

    fn selected(&self, drafts: &mut [Draft]) -> Result<Vec<bool>, ReadError> {
        let Some(predicate) = &self.columns.selection else { return Ok(vec![true; drafts.len()]) };
        let types: BTreeMap<&str, DataType> = predicate.assumed_types();
        let kind = |name: &str| types.get(name).cloned().unwrap_or(DataType::Utf8);
        let columns = self.places.compared.iter().map(|(name, place)| (name.as_str(), place, kind(name)));
        let batch = cells::batch(drafts, columns).map_err(|error| self.arrow(error))?;
        let selected = selection::selected(predicate, &batch);
        let selected =
            selected.map_err(|source| ReadError::Column { file: self.shard.file.path.clone(), source })?;
        // The row about damage has no values that a condition could compare.
        Ok(selected.iter().zip(&*drafts).map(|(selected, draft)| *selected || draft.is_damage).collect())
    }

    fn sample(&mut self, mut draft: Draft, selected: bool) -> Sample {
        let row = self.next_row;
        self.next_row += 1;
        let key = draft.string(&self.places.key).unwrap_or_else(|why| {
            draft.note(format!("the key: {why}"));
            None
        });
        let most = self.columns.most_texts;
        let of_column = |(source, place): &(Arc<str>, Place)| {
            let texts = draft.texts(place, most).into_iter();
            texts.map(|text| SourceText { source: Arc::clone(source), text }).collect::<Vec<_>>()
        };
        let texts: Vec<SourceText> = self.places.texts.iter().flat_map(of_column).collect();
        let control = self.control.choose(row, &texts);
        self.control.add(&texts);
        let (image, member) = draft.take_image();
        let image = if selected { image } else { ImageInput::Missing };
        Sample { row, key, member, image, texts, selected, control, note: draft.notes() }
    }

    fn arrow(&self, error: ArrowError) -> ReadError {
        ReadError::Tar { file: self.shard.file.path.clone(), why: error.to_string() }
    }
}
