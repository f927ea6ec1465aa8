//! Evaluation of a filter and a captioner with the metrics of the literature: recall of retrieval (BLIP,
//! section 5.1), BLEU and CIDEr-D of captions (section 5.2).
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bleu;
mod captions;
mod cider;
mod error;
mod pairs;
mod ranks;
mod retrieval;
mod words;

pub use captions::{CaptionScores, Judged, score, write, write_lines};
pub use error::EvaluateError;
pub use pairs::{Captioned, Collection, read};
pub use ranks::Recalls;
pub use retrieval::{Recalled, retrieve};
pub use words::words;
