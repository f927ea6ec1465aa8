//! Caption generation: from image keys to ids. Each method of choosing the next token has its own file.

pub(crate) mod beam;
pub(crate) mod decoder;
pub(crate) mod greedy;
pub mod logits;
pub mod nucleus;
pub(crate) mod rank;
pub mod sampler;
pub(crate) mod score_tokens;

use capfilt_schemas::settings::Method;

/// Length by which a finished beam's log-probability is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeamLength {
    /// All ids before the end token, with the prompt: transformers 4.15, with which BLIP was evaluated.
    BeforeEndWithPrompt,
    /// The generated ids, with the end token: transformers 5.
    Generated,
}

/// Generation options. Lengths count all ids: `[DEC]`, prompt and end token.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationOptions {
    /// Method of choosing the next token.
    pub method: Method,
    /// Beam: number of candidate sentences of the search.
    pub beams: usize,
    /// Nucleus: the most probable tokens are kept until the sum of their probabilities passes this value.
    pub top_p: f64,
    /// Nucleus: largest number of tokens that are kept (plus ties with the last); 0: no limit.
    pub top_k: usize,
    /// Divisor of the logits of tokens that the caption or the prompt already has; 1: no penalty.
    pub repetition_penalty: f64,
    /// The end token is impossible before this length.
    pub min_length: usize,
    /// A caption of this length stops without an end token.
    pub max_length: usize,
    /// Text with which every caption begins.
    pub prompt: String,
    /// Normalisation of a beam's score by its length.
    pub beam_length: BeamLength,
}

impl GenerationOptions {
    /// Checks the options for a model with `positions` positions and a prompt of `prompt` ids.
    ///
    /// # Errors
    /// A sentence that names the option and its allowed values.
    pub fn check(&self, prompt: usize, positions: usize) -> Result<(), String> {
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            return Err(format!("top_p is {}, expected more than 0 and at most 1", self.top_p));
        }
        if !(self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite()) {
            return Err(format!(
                "repetition_penalty is {}, expected a positive number",
                self.repetition_penalty
            ));
        }
        if self.method == Method::Beam && self.beams == 0 {
            return Err("beams is 0, expected at least 1".into());
        }
        if self.max_length <= prompt {
            return Err(format!(
                "max_length is {}, but [DEC] and the prompt take {prompt} ids already",
                self.max_length
            ));
        }
        if self.max_length > positions {
            return Err(format!(
                "max_length is {}, but the model has {positions} positions",
                self.max_length
            ));
        }
        Ok(())
    }
}
