//! CapFilt (BLIP, arXiv 2201.12086, section 3.3): the captioner writes texts for every image, the filter
//! scores each text of the input and each synthetic text separately, and texts that do not match the image
//! are dropped.

use crate::{
    input::SourceText,
    model::{Caption, Captioner, Filter, ModelError, PixelBatch, SampleKey, TextScore},
    prepare::{Prepared, PreparedImage, PreparedText, Skip},
};
use capfilt_schemas::{
    ledger::LedgerRow,
    settings::Filter as FilterSettings,
    status::RowStatus,
    texts::{LedgerText, SYNTHETIC, Scored},
};
use std::sync::Arc;

/// Thresholds and caption settings.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Threshold of each source, and the largest number of words of a cleaned text that the filter reads.
    pub filter: FilterSettings,
    /// Captions per image.
    pub captions: usize,
    /// Seed of the captions' random numbers.
    pub job_seed: u64,
}

impl Rule {
    /// The rule of a job's settings.
    pub fn new(filter: &FilterSettings, captions: u32, job_seed: u64) -> Self {
        Self { filter: filter.clone(), captions: captions as usize, job_seed }
    }
}

/// The two models and the rule.
pub struct CapFilt {
    captioner: Box<dyn Captioner>,
    filter: Box<dyn Filter>,
    rule: Rule,
    /// Largest number of images per model call. Halved permanently when the device runs out of memory.
    batch: usize,
}

/// The text that a score belongs to.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// The text with this index in the row of the ledger.
    Text(usize),
    /// The text of another row: the negative control.
    Control,
}

/// A cleaned text that the filter scores for one image.
struct Query {
    target: Target,
    text: String,
}

/// An image with its texts, and the queries to the filter.
struct Captioned<'a> {
    row: &'a Prepared,
    image: &'a PreparedImage,
    /// Texts of the input, then captions, without scores.
    texts: Vec<LedgerText>,
    queries: Vec<Query>,
}

impl CapFilt {
    /// Pairs two models with a rule; `batch` is the number of images per model call.
    pub fn new(captioner: Box<dyn Captioner>, filter: Box<dyn Filter>, rule: Rule, batch: usize) -> Self {
        Self { captioner, filter, rule, batch }
    }

    /// Current number of images per model call.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Sets the number of images per model call.
    pub fn set_batch(&mut self, batch: usize) {
        self.batch = batch;
    }

    /// Sides in pixels of the images of the captioner and the filter.
    pub fn image_sides(&self) -> (usize, usize) {
        (self.captioner.image_side(), self.filter.image_side())
    }

    /// The captioner and the filter, for the self-test.
    pub(crate) fn models(&mut self) -> (&mut dyn Captioner, &mut dyn Filter) {
        (self.captioner.as_mut(), self.filter.as_mut())
    }

    /// Judges rows; the result has one ledger row per row, in the same order. `file` is the input file of the
    /// rows.
    ///
    /// # Errors
    /// The device has not enough memory for a single image, or a model fails.
    pub fn judge(&mut self, file: &str, rows: &[Prepared]) -> Result<Vec<LedgerRow>, ModelError> {
        let images: Vec<(&Prepared, &PreparedImage)> =
            rows.iter().filter_map(|row| Some((row, row.image.as_ref().ok()?))).collect();
        let mut judged = Vec::with_capacity(images.len());
        while judged.len() < images.len() {
            let end = images.len().min(judged.len() + self.batch);
            match self.judge_images(file, &images[judged.len()..end]) {
                Ok(rows) => judged.extend(rows),
                Err(ModelError::OutOfMemory { batch, message }) if self.batch > 1 => {
                    self.batch = self.batch.min(batch).div_ceil(2);
                    tracing::warn!(
                        batch = self.batch,
                        "the device is out of memory; halved the batch ({message})"
                    );
                }
                Err(error) => return Err(error),
            }
        }
        let mut judged = judged.into_iter();
        let row = |row: &Prepared| match &row.image {
            Ok(_) => judged.next().expect("every decoded image was judged"),
            Err(skip) => skipped(file, row, skip),
        };
        Ok(rows.iter().map(row).collect())
    }

    fn judge_images(
        &mut self,
        file: &str,
        images: &[(&Prepared, &PreparedImage)],
    ) -> Result<Vec<LedgerRow>, ModelError> {
        let captioned = self.caption(images)?;
        let pixels = pixels(self.filter.image_side(), images.iter().map(|(_, image)| &image.filter_u8[..]));
        let texts = |image: &Captioned| image.queries.iter().map(|query| query.text.clone()).collect();
        let texts: Vec<Vec<String>> = captioned.iter().map(texts).collect();
        let scores = self.filter.score(&pixels, &texts)?;
        let rows = captioned.into_iter().zip(scores);
        Ok(rows.map(|(image, scores)| self.verdict(file, image, &scores)).collect())
    }

    fn caption<'a>(
        &mut self,
        images: &[(&'a Prepared, &'a PreparedImage)],
    ) -> Result<Vec<Captioned<'a>>, ModelError> {
        let pixels =
            pixels(self.captioner.image_side(), images.iter().map(|(_, image)| &image.captioner_u8[..]));
        let key = |row: &Prepared| SampleKey {
            job_seed: self.rule.job_seed,
            image_sha256: row.image_sha256.expect("a decoded image has bytes"),
        };
        let keys: Vec<SampleKey> = images.iter().map(|(row, _)| key(row)).collect();
        let captions = self.captioner.caption(&pixels, &keys, self.rule.captions)?;
        let source: Arc<str> = SYNTHETIC.into();
        let captioned = images.iter().zip(captions);
        Ok(captioned.map(|(&(row, image), captions)| self.queries(row, image, captions, &source)).collect())
    }

    /// Texts and queries of one image, in the order in which the filter scores them: texts of the input,
    /// captions, control.
    fn queries<'a>(
        &self,
        row: &'a Prepared,
        image: &'a PreparedImage,
        captions: Vec<Caption>,
        source: &Arc<str>,
    ) -> Captioned<'a> {
        let (mut texts, mut queries) = (inputs(row), Vec::new());
        let mut add = |at: usize, prepared: &PreparedText| {
            if let PreparedText::Judgeable { cleaned } = prepared {
                queries.push(Query { target: Target::Text(at), text: cleaned.clone() });
            }
        };
        row.texts.iter().enumerate().for_each(|(at, prepared)| add(at, prepared));
        for caption in captions {
            let prepared = PreparedText::of(&caption.text, self.rule.filter.max_words as usize);
            add(texts.len(), &prepared);
            texts.push(LedgerText::new(Arc::clone(source), Some(caption.text), prepared.status()));
        }
        let control = row.sample.control.clone();
        queries.extend(control.map(|text| Query { target: Target::Control, text }));
        Captioned { row, image, texts, queries }
    }

    /// Ledger row of an image; `scores[i]` belongs to query `i`.
    fn verdict(&self, file: &str, image: Captioned, scores: &[TextScore]) -> LedgerRow {
        let Captioned { row, image, texts, queries } = image;
        assert_eq!(scores.len(), queries.len(), "the filter scores every text it was asked about");
        let mut judged = LedgerRow {
            width: Some(image.width),
            height: Some(image.height),
            status: RowStatus::Judged,
            texts,
            ..unjudged(file, row)
        };
        for (query, score) in queries.iter().zip(scores) {
            match query.target {
                Target::Text(at) => {
                    let text = &mut judged.texts[at];
                    text.scored = Some(scored(score, self.rule.filter.threshold(&text.source)));
                }
                Target::Control => judged.control_itm = Some(score.itm),
            }
        }
        judged
    }
}

fn scored(score: &TextScore, threshold: f64) -> Scored {
    // With two classes, "predicted as matched" is P(match) ≥ 0.5, so a score equal to the threshold is kept.
    Scored { itm: score.itm, itc: score.itc, kept: f64::from(score.itm) >= threshold }
}

fn pixels<'a>(side: usize, images: impl ExactSizeIterator<Item = &'a [u8]>) -> PixelBatch {
    let mut batch = PixelBatch::with_capacity(side, images.len());
    images.for_each(|image| batch.push(image));
    batch
}

fn skipped(file: &str, row: &Prepared, skip: &Skip) -> LedgerRow {
    match skip {
        Skip::For { status, detail } => {
            let texts = inputs(row);
            let row = unjudged(file, row);
            let detail =
                [detail.clone(), row.detail.clone()].into_iter().flatten().collect::<Vec<_>>().join("; ");
            let detail = Some(detail).filter(|detail| !detail.is_empty());
            LedgerRow { status: *status, texts, detail, ..row }
        }
        Skip::Settled(earlier) => {
            let mut settled = (**earlier).clone();
            // An earlier result does not contain a long text; the input has the same text.
            for (text, input) in settled.texts.iter_mut().zip(&row.sample.texts) {
                if text.text.is_none() && !text.is_synthetic() {
                    text.text = input.text.as_text().map(str::to_owned);
                }
            }
            settled
        }
    }
}

/// Texts of the input without scores.
fn inputs(row: &Prepared) -> Vec<LedgerText> {
    let texts = row.sample.texts.iter().zip(&row.texts);
    let text = |(input, prepared): (&SourceText, &PreparedText)| {
        let text = input.text.as_text().map(str::to_owned);
        LedgerText::new(Arc::clone(&input.source), text, prepared.status())
    };
    texts.map(text).collect()
}

/// Ledger row with the fields that do not depend on the row's outcome.
fn unjudged(file: &str, row: &Prepared) -> LedgerRow {
    LedgerRow {
        key: row.sample.key.clone(),
        member: row.sample.member.clone(),
        image_sha256: row.image_sha256,
        detail: row.sample.note.clone(),
        ..LedgerRow::missing(file, row.sample.row)
    }
}
