//! A text of an image, and which of several is the best.

use capfilt_schemas::export::Origin;
use serde::{Deserialize, Serialize};

/// A text with what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Caption {
    /// As it is written to the export.
    pub text: String,
    pub source: Origin,
    /// P(match), where the filter judged.
    pub itm: Option<f32>,
    pub cosine: Option<f32>,
}

impl Caption {
    /// Higher is better: what people wrote, then P(match).
    fn rank(&self) -> f32 {
        self.itm.unwrap_or(f32::INFINITY)
    }
}

/// Puts the best text first; equals keep their order.
pub(crate) fn sort_best_first(captions: &mut [Caption]) {
    captions.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
}
