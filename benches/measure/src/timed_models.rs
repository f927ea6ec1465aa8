//! Models that add up the time of their calls.

use capfilt_blip::{BlipCaptioner, BlipFilter};
use capfilt_pipeline::model::{
    Caption, Captioner, Filter, ModelError, PixelBatch, SampleKey, TextScore, TokenLogProb,
};
use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

/// Sums of seconds and tokens that the wrappers around the models add up.
#[derive(Debug, Default)]
pub struct Spent {
    /// Time in the captioner.
    pub caption: Duration,
    /// Time in the filter.
    pub score: Duration,
    /// Token ids of all captions.
    pub tokens: usize,
}

/// Captioner that adds its time and tokens to shared sums.
pub struct TimedCaptioner(pub BlipCaptioner, pub SharedSpent);

/// Filter that adds its time to shared sums.
pub struct TimedFilter(pub BlipFilter, pub SharedSpent);

/// Sums that both models add to.
#[derive(Debug, Clone, Default)]
pub struct SharedSpent(Arc<Mutex<Spent>>);

impl SharedSpent {
    /// Returns the sums and sets them to zero.
    pub fn take(&self) -> Spent {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Spent> {
        self.0.lock().expect("no thread panics while it holds the lock")
    }
}

impl Captioner for TimedCaptioner {
    fn image_side(&self) -> usize {
        self.0.image_side()
    }

    fn caption(
        &mut self,
        images: &PixelBatch,
        keys: &[SampleKey],
        n: usize,
    ) -> Result<Vec<Vec<Caption>>, ModelError> {
        let from = Instant::now();
        let captions = self.0.caption(images, keys, n)?;
        let mut spent = self.1.lock();
        spent.caption += from.elapsed();
        spent.tokens += captions.iter().flatten().map(|caption| caption.ids.len()).sum::<usize>();
        Ok(captions)
    }

    fn log_probs(
        &mut self,
        images: &PixelBatch,
        captions: &[Vec<i64>],
    ) -> Result<Vec<Vec<TokenLogProb>>, ModelError> {
        self.0.log_probs(images, captions)
    }
}

impl Filter for TimedFilter {
    fn image_side(&self) -> usize {
        self.0.image_side()
    }

    fn score(
        &mut self,
        images: &PixelBatch,
        texts: &[Vec<String>],
    ) -> Result<Vec<Vec<TextScore>>, ModelError> {
        let from = Instant::now();
        let scores = self.0.score(images, texts)?;
        self.1.lock().score += from.elapsed();
        Ok(scores)
    }
}
