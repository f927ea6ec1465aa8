//! How learning rate and soft targets change over a run. Pure functions of the place in it.

use capfilt_schemas::settings::train::{Optimizer, Schedule};

/// A place in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub epoch: u64,
    /// Step within the epoch.
    pub step: u64,
    pub steps_per_epoch: u64,
    pub epochs: u64,
}

impl Place {
    /// Epochs behind it, with the fraction of this one.
    fn epochs_done(&self) -> f64 {
        self.epoch as f64 + self.step as f64 / self.steps_per_epoch.max(1) as f64
    }
}

/// The learning rate of a step. The warm-up belongs to the first epoch, and ends with it.
pub fn learning_rate(optimizer: &Optimizer, place: Place) -> f64 {
    let (rate, least) = (optimizer.learning_rate, optimizer.min_learning_rate);
    let scheduled = match optimizer.schedule {
        Schedule::Decay => (rate * optimizer.decay.powf(place.epoch as f64)).max(least),
        Schedule::Cosine => half_cosine(rate, least, place.epoch as f64 / place.epochs as f64),
        Schedule::CosineSteps => half_cosine(rate, least, place.epochs_done() / place.epochs as f64),
    };
    if place.epoch == 0 && place.step < u64::from(optimizer.warmup_steps) {
        let start = optimizer.warmup_learning_rate;
        let warmed = start + (rate - start) * place.step as f64 / f64::from(optimizer.warmup_steps);
        return warmed.min(scheduled);
    }
    scheduled
}

fn half_cosine(rate: f64, least: f64, done: f64) -> f64 {
    (rate - least) * 0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos()) + least
}

/// Share of the momentum towers' opinion in the contrast's targets: grows from 0 to `alpha` over `alpha_epochs`.
pub fn alpha(alpha: f64, alpha_epochs: f64, place: Place) -> f64 {
    if alpha_epochs <= 0.0 { alpha } else { alpha * (place.epochs_done() / alpha_epochs).min(1.0) }
}
