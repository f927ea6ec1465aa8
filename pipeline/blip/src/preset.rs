//! Differences between BLIP's original code and the port in transformers: the options of each preset.

use capfilt_schemas::settings::{Method, Preset};

use crate::generate::{BeamLength, GenerationOptions};

/// Beams of a beam search, unless the user sets another number. BLIP captions with 3.
const BEAMS: usize = 3;

/// First token of the image-grounded encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstToken {
    /// `[ENC]`, with which the matching head was trained.
    Enc,
    /// `[CLS]`, as in transformers.
    Cls,
}

/// Greatest length of a generated answer in tokens, with `[DEC]` and end token (BLIP's VQA).
const ANSWER_LENGTH: usize = 10;

/// Length to which the texts of one call are padded. Masks exclude the padding: scores do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// To the longest text of the call.
    Longest,
    /// To the maximum length: every call has the same shape.
    Maximum,
}

/// All differences between the two implementations, one field each.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// First token of a text for the image-grounded encoder: a text to match, or a question.
    pub itm_first_token: FirstToken,
    /// Texts are cut to this number of ids, with `[CLS]` and `[SEP]`. `None`: only the position table limits
    /// them.
    pub itm_max_tokens: Option<usize>,
    /// Padding of a text for the image-grounded encoder.
    pub itm_padding: Padding,
    /// Label smoothing in the score of a ranked answer: the decoder of the original code computes its loss
    /// with 0.1 also when it ranks; the default of transformers is 0.
    pub answer_smoothing: f64,
    /// Epsilon of the vision tower's LayerNorms. `None`: the value of config.json. The weights were trained
    /// with 1e-6; transformers' configs have 1e-5.
    pub vision_layer_norm_eps: Option<f64>,
    /// Text before every caption, which is removed from the result.
    pub prompt: String,
    /// Normalisation of a beam's score by its length.
    pub beam_length: BeamLength,
    /// Repetition penalty of nucleus sampling (1.1 in the original code). Greedy and beam search have 1.
    pub nucleus_repetition_penalty: f64,
    /// Least length of a caption in tokens, prompt included.
    pub min_length: usize,
    /// Greatest length of a caption in tokens, prompt included.
    pub max_length: usize,
}

impl Options {
    /// Options of a preset: each is consistent, as the model was trained and evaluated in the paper
    /// (salesforce/BLIP with transformers 4.15), or as transformers 5 computes it.
    pub fn of(preset: Preset) -> Self {
        match preset {
            Preset::Original => Self {
                itm_first_token: FirstToken::Enc,
                itm_max_tokens: Some(35),
                itm_padding: Padding::Longest,
                answer_smoothing: 0.1,
                vision_layer_norm_eps: Some(1e-6),
                prompt: "a picture of ".into(),
                beam_length: BeamLength::BeforeEndWithPrompt,
                nucleus_repetition_penalty: 1.1,
                min_length: 5,
                max_length: 20,
            },
            Preset::Hf => Self {
                itm_first_token: FirstToken::Cls,
                itm_max_tokens: None,
                itm_padding: Padding::Longest,
                answer_smoothing: 0.0,
                vision_layer_norm_eps: None,
                prompt: String::new(),
                beam_length: BeamLength::Generated,
                nucleus_repetition_penalty: 1.0,
                min_length: 0,
                max_length: 20,
            },
        }
    }

    /// Default generation options of a method.
    pub fn generation(&self, method: Method) -> GenerationOptions {
        let repetition_penalty = match method {
            Method::Nucleus => self.nucleus_repetition_penalty,
            Method::Greedy | Method::Beam => 1.0,
        };
        GenerationOptions {
            method,
            beams: BEAMS,
            top_p: 0.9,
            top_k: 50,
            repetition_penalty,
            min_length: self.min_length,
            max_length: self.max_length,
            prompt: self.prompt.clone(),
            beam_length: self.beam_length,
        }
    }
    /// Generation options of answers, as in BLIP's VQA: a beam search without a prompt.
    pub fn answering(&self) -> GenerationOptions {
        GenerationOptions {
            prompt: String::new(),
            min_length: 1,
            max_length: ANSWER_LENGTH,
            ..self.generation(Method::Beam)
        }
    }
}
