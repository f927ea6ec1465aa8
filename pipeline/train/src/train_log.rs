//! Metrics of a run: sums since the last line, and the lines so far.

use std::{path::Path, time::Instant};

use tch::Tensor;

use crate::{
    error::TrainError,
    learner::Losses,
    metrics::{Line, Means, Metrics, Sums},
};

/// Number of metrics lines with a constant matching loss after which a run reports it.
const STUCK_LINES: usize = 20;

/// The metrics of a run, with the sums of its next line.
pub(crate) struct TrainLog {
    metrics: Metrics,
    sums: Sums,
    /// Time of the last line.
    since: Instant,
    /// Seconds since then in which the device waited for data.
    waiting: f64,
    images: u64,
}

/// Values of a line that are known at its step alone.
pub(crate) struct Moment {
    pub step: u64,
    pub epoch: f64,
    pub learning_rate: f64,
    pub alpha: f64,
    pub temperature: f64,
    pub skipped_rows: u64,
}

impl TrainLog {
    /// Opens the metrics of a run that resumes at `step`.
    pub fn open(folder: &Path, step: u64) -> Result<Self, TrainError> {
        let metrics = Metrics::open(folder, step)?;
        Ok(Self { metrics, sums: Sums::default(), since: Instant::now(), waiting: 0.0, images: 0 })
    }

    /// Notes that a batch was requested at this time and is now here.
    pub fn add_wait(&mut self, asked: Instant) {
        self.waiting += asked.elapsed().as_secs_f64();
    }

    pub fn add_batch(&mut self, losses: &Losses, images: u64) {
        self.sums.add_losses(losses);
        self.images += images;
    }

    pub fn add_gradient(&mut self, norm: &Tensor) {
        self.sums.add_gradient(norm);
    }

    /// Ends the sums in a line.
    ///
    /// # Errors
    /// A loss that is not a number; the error names the last saved step.
    pub fn line(&mut self, at: Moment, saved: u64) -> Result<Line, TrainError> {
        let means = self.means(at.step, saved)?;
        let seconds = self.since.elapsed().as_secs_f64().max(1e-9);
        let line = Line {
            step: at.step,
            epoch: at.epoch,
            itc: means.itc,
            itm: means.itm,
            lm: means.lm,
            learning_rate: at.learning_rate,
            alpha: at.alpha,
            temperature: at.temperature,
            gradient_norm: means.gradient_norm,
            images_per_second: self.images as f64 / seconds,
            waiting: self.waiting / seconds,
            skipped_rows: at.skipped_rows,
        };
        (self.since, self.waiting, self.images) = (Instant::now(), 0.0, 0);
        Ok(line)
    }

    /// Means since the last line, which must be finite.
    pub fn means(&mut self, step: u64, saved: u64) -> Result<Means, TrainError> {
        let means = self.sums.take();
        if means.is_finite() {
            return Ok(means);
        }
        let shown = |loss: Option<f64>| loss.unwrap_or(0.0);
        let (itc, itm, lm) = (shown(means.itc), shown(means.itm), shown(means.lm));
        Err(TrainError::NotANumber { step, itc, itm, lm, saved })
    }

    /// Writes a line. Returns whether the matching head has given a constant answer for many lines.
    pub fn push(&mut self, line: Line) -> Result<bool, TrainError> {
        self.metrics.push(line)?;
        Ok(self.metrics.matching_is_stuck(STUCK_LINES))
    }

    /// Draws the losses so far.
    pub fn draw(&self) -> Result<(), TrainError> {
        self.metrics.draw()
    }
}
