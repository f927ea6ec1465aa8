//! CapFilt (BLIP, arXiv 2201.12086, section 3.3): the captioner writes texts for every image, the filter
//! scores each text of the input and each synthetic text separately, and texts that do not match the image
//! are dropped.

pub use crate::rule::{Rule, frames};
use crate::{
    captions,
    clip_scores::ClipScores,
    frames::Frames,
    framing::Square,
    judging::{Judging, inputs, unjudged},
    model::{CaptionSource, DualEncoder, Filter, ImageScores, ModelError, PixelBatch, TextScore},
    prepare::{Prepared, PreparedImage, Skip},
};
use capfilt_schemas::{ledger::LedgerRow, settings::When, texts::OptionalColumns};

/// The origin of captions, the filter, and the rule.
pub struct CapFilt {
    captions: CaptionSource,
    filter: Box<dyn Filter>,
    /// Second model, of a job with CLIP scores.
    clip: Option<Box<dyn DualEncoder>>,
    rule: Rule,
    /// Largest number of images per model call. Halved permanently when the device runs out of memory.
    batch: usize,
}

impl CapFilt {
    /// Pairs the origin of captions and a filter with a rule; `batch` is the number of images per model call.
    pub fn new(captions: CaptionSource, filter: Box<dyn Filter>, rule: Rule, batch: usize) -> Self {
        Self { captions, filter, clip: None, rule, batch }
    }

    /// Adds a CLIP, which also scores every judged text.
    #[must_use]
    pub fn with_clip(self, clip: Option<Box<dyn DualEncoder>>) -> Self {
        Self { clip, ..self }
    }

    /// Current number of images per model call.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Sets the number of images per model call.
    pub fn set_batch(&mut self, batch: usize) {
        self.batch = batch;
    }

    /// Takes the captions from another origin.
    pub fn set_captions(&mut self, captions: CaptionSource) {
        self.captions = captions;
    }

    /// Whether [`announce`](Self::announce) has an effect.
    pub fn takes_announcements(&self) -> bool {
        matches!(self.captions, CaptionSource::Remote(_)) && self.rule.captioner.when == When::Always
    }

    /// Names rows that will be judged soon, so that another program can write their captions meanwhile.
    pub fn announce(&mut self, rows: &[Prepared]) {
        if self.takes_announcements() {
            captions::announce(&mut self.captions, &self.rule, rows);
        }
    }

    /// Sides in pixels of the images of the captioner and the filter. Without a captioner of this process, no
    /// image of another side is needed.
    pub fn image_sides(&self) -> (usize, usize) {
        let filter = self.filter.image_side();
        match &self.captions {
            CaptionSource::Model(captioner) => (captioner.image_side(), filter),
            CaptionSource::Nothing | CaptionSource::Remote(_) => (filter, filter),
        }
    }

    /// Squares that the CLIP takes; `None` in a job without one.
    pub fn clip_square(&self) -> Option<Square> {
        self.clip.as_ref().map(|clip| clip.square())
    }

    /// Columns of the tables that not every job has.
    pub fn optional_columns(&self) -> OptionalColumns {
        let embeddings = self.filter.feature_width().filter(|_| self.rule.embeddings);
        OptionalColumns { embeddings, clip: self.clip.is_some() }
    }

    /// The origin of captions and the filter, for the self-test.
    pub(crate) fn models(&mut self) -> (&mut CaptionSource, &mut dyn Filter) {
        (&mut self.captions, self.filter.as_mut())
    }

    /// Judges rows; the result has one ledger row per row, in the same order. `file` is the input file of the
    /// rows.
    ///
    /// # Errors
    /// The device has not enough memory for a single image, a model fails, or another program that writes
    /// captions is unavailable.
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
        let Self { captions: source, filter, clip, rule, .. } = self;
        let mut judging: Vec<Judging> = images.iter().map(|(row, image)| Judging::of(row, image)).collect();
        if rule.captioner.when == When::Always {
            add_captions(&mut judging.iter_mut().collect::<Vec<_>>(), source, rule)?;
        }
        judging.iter_mut().for_each(Judging::add_control);
        let first: Vec<Vec<String>> = judging.iter().map(|image| image.query_texts(0)).collect();
        let frames = rule.frames.unwrap_or(Frames::ONE);
        let pixels =
            PixelBatch::of(filter.image_side(), frames, images.iter().map(|(_, image)| &image.filter_u8[..]));
        let mut clip = match clip {
            Some(clip) => Some(ClipScores::of(clip.as_mut(), images.iter().map(|(_, image)| *image))?),
            None => None,
        };
        // The scores of the first texts decide which images get captions.
        clip.iter_mut().try_for_each(|clip| clip.add(&mut judging))?;
        let mut more = |scores: &[Vec<TextScore>]| match rule.captioner.when {
            When::Always => Ok(vec![Vec::new(); scores.len()]),
            When::NoTextKept => rescue(&mut judging, scores, source, rule),
        };
        let scores = filter.score_in_turns(&pixels, &first, &mut more, rule.embeddings)?;
        clip.iter_mut().try_for_each(|clip| clip.add(&mut judging))?;
        let rows = judging.into_iter().zip(scores);
        Ok(rows.map(|(image, scores): (Judging, ImageScores)| image.verdict(file, rule, scores)).collect())
    }
}

/// Writes and adds the captions of images.
fn add_captions(
    images: &mut [&mut Judging],
    source: &mut CaptionSource,
    rule: &Rule,
) -> Result<(), ModelError> {
    let pictures: Vec<(&Prepared, &PreparedImage)> =
        images.iter().map(|image| (image.row, image.image)).collect();
    let written = captions::write(source, rule, &pictures)?;
    images.iter_mut().zip(written).for_each(|(image, captions)| image.add_captions(captions, rule));
    Ok(())
}

/// Adds captions to the images of which these scores keep no text. Returns the further texts of every image.
fn rescue(
    judging: &mut [Judging],
    scores: &[Vec<TextScore>],
    source: &mut CaptionSource,
    rule: &Rule,
) -> Result<Vec<Vec<String>>, ModelError> {
    let scored: Vec<usize> = judging.iter().map(Judging::queries).collect();
    let without = judging.iter_mut().zip(scores).filter(|(image, scores)| !image.keeps_a_text(scores, rule));
    let mut without: Vec<&mut Judging> = without.map(|(image, _)| image).collect();
    if !without.is_empty() {
        add_captions(&mut without, source, rule)?;
    }
    Ok(judging.iter().zip(scored).map(|(image, scored)| image.query_texts(scored)).collect())
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
