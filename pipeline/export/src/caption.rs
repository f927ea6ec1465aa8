//! A text of an image, and the ranking of several texts.

use capfilt_schemas::export::Origin;
use serde::{Deserialize, Serialize};

/// A text with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Caption {
    /// Text as the export contains it.
    pub text: String,
    pub source: Origin,
    /// P(match), if the filter scored the text.
    pub itm: Option<f32>,
    pub cosine: Option<f32>,
}

impl Caption {
    /// Higher is better: human texts, then P(match).
    fn rank(&self) -> f32 {
        self.itm.unwrap_or(f32::INFINITY)
    }
}

/// Sorts the best text first; equal texts keep their order.
pub(crate) fn sort_best_first(captions: &mut [Caption]) {
    captions.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
}
