//! A text of an image, and the ranking of several texts.

use capfilt_schemas::{export::Origin, texts::SYNTHETIC};
use serde::{Deserialize, Serialize};

/// A text with its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Caption {
    /// Text as the export contains it.
    pub text: String,
    /// `human`, the name of a job's text column, or `synthetic`.
    pub source: String,
    /// P(match), if the filter scored the text.
    pub itm: Option<f32>,
    pub cosine: Option<f32>,
}

impl Caption {
    /// Kind of the source: only human texts have no score.
    pub fn origin(&self) -> Origin {
        match (self.itm, self.source.as_str()) {
            (None, _) => Origin::Human,
            (_, SYNTHETIC) => Origin::Synthetic,
            _ => Origin::Web,
        }
    }

    /// Higher is better: human texts, then P(match).
    fn rank(&self) -> f32 {
        self.itm.unwrap_or(f32::INFINITY)
    }
}

/// Sorts the best text first; equal texts keep their order.
pub(crate) fn sort_best_first(captions: &mut [Caption]) {
    captions.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
}
