//! Schedules of the learning rate and the soft targets: pure functions of the position in the run.

use capfilt_schemas::settings::train::{Optimizer, Schedule};

/// Logarithm of the initial weight of later tokens, relative to visible ones.
const FIRST_SIGHT: f64 = -8.0;

/// A position in a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Number of finished epochs.
    pub epoch: u64,
    /// Step within the epoch.
    pub step: u64,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Number of all epochs.
    pub epochs: u64,
}

impl Place {
    /// Epochs done, with the fraction of the current one.
    fn epochs_done(&self) -> f64 {
        self.epoch as f64 + self.step as f64 / self.steps_per_epoch.max(1) as f64
    }
}

/// Learning rate of a step. The warm-up is within the first epoch.
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

/// Weight of the momentum towers' softmax in the contrastive targets: rises from 0 to `alpha` over
/// `alpha_epochs`.
pub fn alpha(alpha: f64, alpha_epochs: f64, place: Place) -> f64 {
    if alpha_epochs <= 0.0 { alpha } else { alpha * (place.epochs_done() / alpha_epochs).min(1.0) }
}

/// Weight of later tokens in the text encoder's self-attention: 0 in the first `causal_steps` steps, then
/// rising to 1 over as many steps.
///
/// A captioner's decoder never attended to later tokens. A filter that starts from a captioner and attends to
/// all tokens at once loses what the decoder's tokens know about the image, such as spatial relations
/// (benches/RESULTS.md).
pub fn ahead(causal_steps: u64, step: u64) -> f64 {
    if step < causal_steps {
        return 0.0;
    }
    let left = (2 * causal_steps).saturating_sub(step) as f64 / causal_steps.max(1) as f64;
    (FIRST_SIGHT * left).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ahead_comes_in_after_the_causal_steps_and_over_as_many() {
        let seen = [0, 9, 10, 15, 20, 1000].map(|step| ahead(10, step));
        let expected = [0.0, 0.0, (-8.0f64).exp(), (-4.0f64).exp(), 1.0, 1.0];
        assert!(
            seen.iter().zip(expected).all(|(seen, expected)| (seen - expected).abs() < 1e-15),
            "{seen:?}"
        );
        assert_eq!(ahead(0, 0), 1.0, "a run without causal steps");
    }
}
