//! Reader for the rows of a shard whose file has no types: from its samples, with the job's columns and
//! condition, to rows, in order and in small batches.

use super::{
    ImageInput, InputColumns, ReadError, Rows, Sample, SourceText,
    control::ControlTexts,
    formats::Samples,
    images::{self, ImageCell, TakesLinks, fetched_bytes},
    samples::{
        cells,
        draft::{Draft, Limits, ROW_BYTES},
        places::{Place, Places},
    },
    selection,
};
use arrow::{
    datatypes::{DataType, Field},
    error::ArrowError,
};
use capfilt_schemas::plan::Shard;
use capfilt_store::{Location, StoreError};
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of a text that are read and written, unless `limits.text_bytes` is larger.
const TEXT_BYTES: u64 = 1 << 20;

/// Reads one shard, up to `batch_rows` samples or 64 MiB at a time.
///
/// Memory: that of the format, and the returned rows.
pub(super) struct SampleReader {
    source: Samples,
    /// Location below which rows name images.
    input: Location,
    places: Arc<Places>,
    columns: InputColumns,
    passthrough: Vec<Field>,
    shard: Shard,
    batch_rows: usize,
    next_row: u64,
    /// Texts of the earlier rows of the shard.
    control: ControlTexts,
    /// Samples whose images did not fit into the last rows.
    waiting: Vec<Draft>,
}

impl SampleReader {
    /// Opens the shard's file; nothing is read.
    pub fn open(input: &Location, shard: &Shard, columns: InputColumns, batch_rows: usize) -> Self {
        let places = Arc::new(Samples::places(shard, &columns));
        let InputColumns { image_bytes, text_bytes, .. } = columns;
        let limits = Limits { image_bytes, text_bytes: TEXT_BYTES.max(text_bytes + 1) };
        let field = |name: &String| Field::new(name, DataType::Utf8, true);
        Self {
            source: Samples::open(input, shard, &places, limits),
            input: input.around(&shard.file.path),
            passthrough: columns.passthrough.iter().map(field).collect(),
            control: ControlTexts::new(columns.max_words, columns.seed),
            places,
            columns,
            shard: shard.clone(),
            batch_rows: batch_rows.max(1),
            next_row: shard.first_row,
            waiting: Vec::new(),
        }
    }

    /// Pass-through columns: texts, because the values have no types.
    pub fn passthrough(&self) -> &[Field] {
        &self.passthrough
    }

    /// Returns the next rows, or `None` after the last. An exact number of rows is compared with the plan.
    pub async fn next(&mut self) -> Result<Option<Rows>, ReadError> {
        let drafts = match self.waiting.is_empty() {
            true => self.source.next(self.batch_rows).await?,
            false => std::mem::take(&mut self.waiting),
        };
        if drafts.is_empty() { self.finish() } else { self.rows(drafts).await.map(Some) }
    }

    fn finish(&self) -> Result<Option<Rows>, ReadError> {
        let (planned, found) = (self.shard.rows, self.next_row - self.shard.first_row);
        match self.shard.may_have(found) {
            true => Ok(None),
            false => Err(ReadError::Rows { file: self.shard.file.path.clone(), planned, found }),
        }
    }

    async fn rows(&mut self, mut drafts: Vec<Draft>) -> Result<Rows, ReadError> {
        let selected = self.selected(&mut drafts)?;
        let images = self.images(&mut drafts, &selected).await;
        let images = images.map_err(|source| self.store(source))?;
        self.waiting = drafts.split_off(images.len());
        let passthrough = self.places.passthrough.iter();
        let passthrough = passthrough.map(|(name, place)| (name.as_str(), place, DataType::Utf8));
        let passthrough = cells::batch(&mut drafts, passthrough).map_err(|error| self.arrow(error))?;
        let bytes = drafts.iter().zip(&images);
        let bytes = bytes.map(|(draft, image)| draft.bytes() + fetched_bytes(image) + ROW_BYTES).collect();
        let samples = drafts.into_iter().zip(images).zip(selected);
        let samples = samples.map(|((draft, image), selected)| self.sample(draft, image, selected)).collect();
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

    /// Images of the first samples, at least of one: further large images wait for the next rows.
    async fn images(&self, drafts: &mut [Draft], selected: &[bool]) -> Result<Vec<ImageInput>, StoreError> {
        let named = self.places.named.as_ref();
        let cell = |(draft, selected): (&mut Draft, &bool)| match selected {
            true => draft.image(named),
            false => ImageCell::Nothing,
        };
        let cells = drafts.iter_mut().zip(selected).map(cell).collect();
        let links = if self.columns.links.is_some() { TakesLinks::Yes } else { TakesLinks::No };
        let mut images = images::fetch(cells, &self.input, self.columns.image_bytes, links).await?;
        for (image, draft) in images.iter_mut().zip(drafts) {
            if let (ImageInput::Link(link), Some(digest)) = (image, &self.places.digest) {
                link.digest = draft.string(digest).unwrap_or_else(|why| {
                    draft.note(format!("the digest {why}"));
                    None
                });
            }
        }
        Ok(images)
    }

    fn sample(&mut self, mut draft: Draft, image: ImageInput, selected: bool) -> Sample {
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
        let member = match &image {
            ImageInput::Link(link) => Some(link.shown()),
            _ => draft.member(),
        };
        Sample { row, key, member, image, texts, selected, control, note: draft.notes() }
    }

    fn store(&self, source: StoreError) -> ReadError {
        ReadError::Store { file: self.shard.file.path.clone(), source: Box::new(source) }
    }

    fn arrow(&self, error: ArrowError) -> ReadError {
        let (file, why) = (self.shard.file.path.clone(), error.to_string());
        ReadError::Format { file, format: "samples", why }
    }
}
