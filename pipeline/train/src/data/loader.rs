//! Loader of batches ahead of the trainer: one thread reads and orders, rayon decodes.

use super::{
    Batch, Cursor, DataError, Dataset,
    augment::augment,
    draws::Draws,
    order::{self, Window},
    questions::Answer,
    read::{Pair, read},
    statements::{SWAPPED, swapped},
};
use capfilt_pipeline::{
    image::{ImageLimits, RgbImage, decode},
    model::PixelBatch,
    resize::Resizer,
};
use crossbeam_channel::{Receiver, Sender, bounded};
use rayon::prelude::*;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Capacity of the channel of finished batches. Memory: capacity × batch × side² × 3 bytes; 28 MB per batch
/// of 64 × 384². A larger capacity would only hide a slow reader.
const READY: usize = 3;

type Pairs = Arc<Vec<Option<Pair>>>;

/// Iterates over batches without end. Dropping the loader ends its thread.
pub struct Loader {
    batches: Receiver<Result<Batch, DataError>>,
    skipped: Arc<AtomicU64>,
}

impl Loader {
    /// Starts at `cursor`, with images of `side` × `side` pixels.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn start(dataset: Dataset, side: usize, cursor: Cursor) -> std::io::Result<Self> {
        let (send, batches) = bounded(READY);
        let skipped = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&skipped);
        thread::Builder::new().name("data".to_owned()).spawn(move || {
            let mut reader = Reader { dataset, side, skipped: counter, kept: HashMap::new() };
            if let Err(error) = reader.run(cursor, &send) {
                // The channel is closed if the trainer has stopped first.
                let _ = send.send(Err(error));
            }
        })?;
        Ok(Self { batches, skipped })
    }

    /// Returns the next batch; epochs follow each other without end.
    ///
    /// # Errors
    /// The data cannot be read.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and it may fail")]
    pub fn next(&mut self) -> Result<Batch, DataError> {
        self.batches.recv().unwrap_or(Err(DataError::Gone))
    }

    /// Number of reads of a row without a usable image or text; the next usable row replaced it each time.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }
}

struct Reader {
    dataset: Dataset,
    side: usize,
    skipped: Arc<AtomicU64>,
    /// Row groups of a small data set, kept for later epochs.
    kept: HashMap<usize, Pairs>,
}

/// A row as an augmented image with its text.
struct Example {
    pixels_u8: Vec<u8>,
    text: String,
    answers: Vec<Answer>,
    /// Pixels of the second image, and the truth of the statement about both.
    second: Option<(Vec<u8>, bool)>,
    image_id: i64,
}

/// The trainer has stopped, so no thread receives batches.
struct TrainerStopped;

impl Reader {
    fn run(&mut self, cursor: Cursor, send: &Sender<Result<Batch, DataError>>) -> Result<(), DataError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|_| DataError::Gone)?;
        let mut start = cursor.step;
        for epoch in cursor.epoch.. {
            if runtime.block_on(self.epoch(epoch, start, send))?.is_err() {
                return Ok(());
            }
            start = 0;
        }
        Ok(())
    }

    /// Sends the batches of an epoch from `start` on. A batch may span two windows.
    async fn epoch(
        &mut self,
        epoch: u64,
        start: u64,
        send: &Sender<Result<Batch, DataError>>,
    ) -> Result<Result<(), TrainerStopped>, DataError> {
        let batch = u64::from(self.dataset.batch);
        let steps = self.dataset.steps_per_epoch();
        let windows = order::windows(&self.dataset.sizes(), self.dataset.seed, epoch);
        // pairs of the group, row, index within the epoch
        let mut waiting: Vec<(Pairs, u64, u64)> = Vec::new();
        let mut step = start;
        for window in windows.iter().filter(|window| window.first + window.pairs > start * batch) {
            let ordered = self.window(window, epoch).await?;
            let from = (start * batch).saturating_sub(window.first) as usize;
            let indexed = ordered.into_iter().enumerate().skip(from);
            waiting.extend(indexed.map(|(i, (pairs, row))| (pairs, row, window.first + i as u64)));
            while waiting.len() as u64 >= batch && step < steps {
                let rest = waiting.split_off(batch as usize);
                let made = self.batch(&waiting, epoch, step)?;
                waiting = rest;
                step += 1;
                if send.send(Ok(made)).is_err() {
                    return Ok(Err(TrainerStopped));
                }
            }
        }
        Ok(Ok(()))
    }

    /// Pairs of a window, in order.
    async fn window(&mut self, window: &Window, epoch: u64) -> Result<Vec<(Pairs, u64)>, DataError> {
        let mut groups = Vec::with_capacity(window.visits.len());
        for visit in &window.visits {
            groups.push(self.group(visit.group).await?);
        }
        let rows: Vec<u64> = groups.iter().map(|pairs| pairs.len() as u64).collect();
        let ordered = order::pairs(window, &rows, self.dataset.together, self.dataset.seed, epoch);
        Ok(ordered.into_iter().map(|(i, row)| (Arc::clone(&groups[i]), row)).collect())
    }

    async fn group(&mut self, index: usize) -> Result<Pairs, DataError> {
        if let Some(pairs) = self.kept.get(&index) {
            return Ok(Arc::clone(pairs));
        }
        let group = &self.dataset.groups()[index];
        let pairs = Arc::new(read(group).await?);
        if pairs.iter().all(Option::is_none) {
            return Err(DataError::NothingUsable { group: group.name(), rows: pairs.len() });
        }
        if self.dataset.is_small() {
            self.kept.insert(index, Arc::clone(&pairs));
        }
        Ok(pairs)
    }

    fn batch(&self, rows: &[(Pairs, u64, u64)], epoch: u64, step: u64) -> Result<Batch, DataError> {
        let made: Vec<Example> = rows
            .par_iter()
            .map_init(Resizer::new, |resizer, (pairs, row, index)| {
                self.sample(pairs, *row, *index, epoch, resizer)
            })
            .collect::<Result<_, DataError>>()?;
        let labels: Vec<i64> =
            made.iter().filter_map(|one| Some(i64::from(one.second.as_ref()?.1))).collect();
        let mut pixels = PixelBatch::with_capacity(self.side, made.len() + labels.len());
        made.iter().for_each(|example| pixels.push(&example.pixels_u8));
        made.iter().filter_map(|one| one.second.as_ref()).for_each(|(second, _)| pixels.push(second));
        let (mut texts, mut image_ids) = (Vec::with_capacity(made.len()), Vec::with_capacity(made.len()));
        let mut answers = Vec::with_capacity(made.len());
        for example in made {
            texts.push(example.text);
            image_ids.push(example.image_id);
            answers.push(example.answers);
        }
        let is_last = step + 1 == self.dataset.steps_per_epoch();
        let cursor =
            if is_last { Cursor { epoch: epoch + 1, step: 0 } } else { Cursor { epoch, step: step + 1 } };
        Ok(Batch { pixels, texts, answers, labels, image_ids, cursor })
    }

    /// A row's image and text; for an unusable row, those of the next usable one in its row group.
    fn sample(
        &self,
        pairs: &[Option<Pair>],
        row: u64,
        index: u64,
        epoch: u64,
        resizer: &mut Resizer,
    ) -> Result<Example, DataError> {
        let rows = pairs.len();
        for offset in 0..rows {
            let pair = pairs[(row as usize + offset) % rows].as_ref();
            let Some((pair, images)) = pair.and_then(|pair| Some((pair, decoded(pair)?))) else {
                self.skipped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let draws = |purpose| Draws::of(purpose, &[self.dataset.seed, epoch, index]);
            let text = pair.text.draw(&mut draws("text")).to_owned();
            let (image_id, answers) = (pair.image_id, pair.answers.clone());
            let mut pixels = self.augmented(images, &mut draws("augment"), resizer).into_iter();
            let first = pixels.next().unwrap_or_default();
            let second = pair.second.as_ref().zip(pixels.next());
            let second = second.map(|(second, pixels)| (pixels, second.is_true));
            let example = Example { pixels_u8: first, text, answers, second, image_id };
            return Ok(example.in_drawn_order(&mut draws("swap")));
        }
        Err(DataError::NothingUsable { group: "a row group".to_owned(), rows })
    }

    /// Pixels of images, each augmented with further random numbers.
    fn augmented(&self, images: Vec<RgbImage>, draws: &mut Draws, resizer: &mut Resizer) -> Vec<Vec<u8>> {
        let augmented = |image| {
            let mut pixels = Vec::with_capacity(self.side * self.side * 3);
            augment(image, self.side, &self.dataset.augment, draws, resizer, &mut pixels);
            pixels
        };
        images.into_iter().map(augmented).collect()
    }
}

/// The image of a pair, and its second one if it has one; `None` if an image does not decode.
fn decoded(pair: &Pair) -> Option<Vec<RgbImage>> {
    let images = [Some(&pair.image), pair.second.as_ref().map(|second| &second.bytes)];
    images.into_iter().flatten().map(|image| decode(image, &ImageLimits::default()).ok()).collect()
}

impl Example {
    /// The example, or with probability [`SWAPPED`] that of the same two images in the other order. An
    /// example with one image is unchanged.
    fn in_drawn_order(mut self, draws: &mut Draws) -> Self {
        if let Some((second, _)) = &mut self.second
            && draws.unit() < SWAPPED
        {
            std::mem::swap(&mut self.pixels_u8, second);
            self.text = swapped(&self.text);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_pairs_of_images_change_places_with_their_words_and_keep_their_label() {
        let example = |second| Example {
            pixels_u8: vec![1],
            text: "the left one has more dogs".into(),
            answers: Vec::new(),
            second,
            image_id: 7,
        };
        let mut swaps = 0;
        for index in 0..2000 {
            let found = example(Some((vec![2], true))).in_drawn_order(&mut Draws::of("swap", &[3, 0, index]));
            let (second, label) = found.second.unwrap();
            let is_swapped = found.text == "the right one has more dogs";
            let expected = if is_swapped { ([2], [1]) } else { ([1], [2]) };
            assert_eq!((found.pixels_u8.as_slice(), second.as_slice()), (&expected.0[..], &expected.1[..]));
            assert!(label && (is_swapped || found.text == "the left one has more dogs"), "{}", found.text);
            swaps += u32::from(is_swapped);
        }
        // Five standard deviations of 2,000 draws are 112.
        assert!(swaps.abs_diff(1000) < 112, "{swaps}");
        let single = example(None).in_drawn_order(&mut Draws::of("swap", &[3, 0, 0]));
        assert_eq!((single.pixels_u8, single.text.as_str()), (vec![1], "the left one has more dogs"));
    }
}
