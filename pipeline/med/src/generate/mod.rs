//! Caption generation: from image keys to ids. How the next word is chosen is each method's own file; this
//! one holds what they share.

pub mod beam;
pub mod decoder;
pub mod follow;
pub mod greedy;
pub mod logits;
pub mod nucleus;
pub mod sampler;

/// How the next word is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// The likeliest word, always.
    Greedy,
    /// A draw from the likeliest words (BLIP, section 4.3: more diverse captions, better training data).
    Nucleus,
    /// The likeliest sentence, as far as `beams` candidates show it.
    Beam { beams: usize },
}

/// What a finished beam's log-probability is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeamLength {
    /// All ids before the end token, prompt included: transformers 4.15, with which BLIP's numbers were made.
    BeforeEndWithPrompt,
    /// The generated ids, end token included: transformers 5.
    Generated,
}

/// How captions are generated. Lengths count all ids: `[DEC]`, prompt and end token included.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerationOptions {
    pub method: Method,
    /// Nucleus: the likeliest words are kept until their probabilities pass this sum.
    pub top_p: f64,
    /// Nucleus: at most this many words (and those tied with the last) are kept; 0 keeps all.
    pub top_k: usize,
    /// Words already in the caption or the prompt become this much less likely; 1 switches it off.
    pub repetition_penalty: f64,
    /// No end before this length.
    pub min_length: usize,
    /// A caption that reaches this length simply stops.
    pub max_length: usize,
    pub prompt: String,
    pub beam_length: BeamLength,
}

impl GenerationOptions {
    /// Whether a model with room for `positions` tokens and a prompt of `prompt` ids can follow these
    /// options.
    ///
    /// # Errors
    /// A sentence that names the option and what it may be.
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
        if self.method == (Method::Beam { beams: 0 }) {
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
