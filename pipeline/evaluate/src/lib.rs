//! Evaluation of models with the metrics of the literature: recall of retrieval (BLIP, section 5.1), BLEU and
//! CIDEr-D of captions (section 5.2), VQA accuracy of answers (section 5.3), accuracy of statements about
//! pairs of images (section 5.4); calibration of P(match).
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answering;
#[cfg(feature = "arguments")]
mod arguments;
mod bleu;
mod calibration;
mod captions;
mod cider;
mod error;
mod nlvr;
mod pairs;
mod questions;
mod ranks;
mod reliability_diagram;
mod retrieval;
mod statements;
mod vqa;
mod words;

pub use answering::{Answered, Answering, Score, answer_all, write_answers};
#[cfg(feature = "arguments")]
pub use arguments::{
    AnsweringArgs, EvalDataArgs, QuestionArgs, StatementArgs, VideoQaArgs, VideoRetrievalArgs,
};
pub use calibration::{Calibrated, Labelled, Negatives, Reliability, calibrate, label};
pub use captions::{CaptionScores, Judged, score, write, write_lines};
pub use error::EvaluateError;
pub use nlvr::{GroupScore, NlvrScores, score_statements, write_judgements};
pub use pairs::{Captioned, Collection, read};
pub use questions::{Asked, Questions, read_questions};
pub use ranks::Recalls;
pub use reliability_diagram::reliability_diagram;
pub use retrieval::{Recalled, retrieve};
pub use statements::{Stated, Statements, judge_all, read_statements};
pub use vqa::{VqaScores, normalised, score_answers, vqa_accuracy};
pub use words::words;
