//! Where the original code and transformers' port of BLIP differ, and which of the two a job follows.

use std::{fmt, str::FromStr};

use crate::generate::{BeamLength, GenerationOptions, Method};

/// Two sets of [`Options`], each consistent in itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Preset {
    /// As the model was trained and the paper evaluated it (salesforce/BLIP with transformers 4.15).
    #[default]
    Original,
    /// As transformers 5 computes it.
    Hf,
}

/// First token of the image-grounded encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstToken {
    /// `[ENC]`, what the matching head was trained on.
    Enc,
    /// `[CLS]`, which transformers leaves in place.
    Cls,
}

/// How far the texts of one call are padded. Masks make it a question of shapes, not of scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// To the longest text of the call.
    Longest,
    /// Always to the maximum: every call then has the same shape.
    Maximum,
}

/// Every difference between the two, one field each.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    pub itm_first_token: FirstToken,
    /// Texts are cut to this many ids, `[CLS]` and `[SEP]` included; `None`: only the position table limits
    /// them.
    pub itm_max_tokens: Option<usize>,
    pub itm_padding: Padding,
    /// Epsilon of the vision tower's LayerNorms; `None`: what config.json says. The weights were trained with
    /// 1e-6, transformers' configs say 1e-5.
    pub vision_layer_norm_eps: Option<f64>,
    /// Put before every caption and cut off again.
    pub prompt: String,
    pub beam_length: BeamLength,
    /// Repetition penalty of nucleus sampling (the original code fixes it at 1.1); greedy and beam start at
    /// 1.
    pub nucleus_repetition_penalty: f64,
    pub min_length: usize,
    pub max_length: usize,
}

impl Preset {
    /// What the preset stands for.
    pub fn options(self) -> Options {
        match self {
            Self::Original => Options {
                itm_first_token: FirstToken::Enc,
                itm_max_tokens: Some(35),
                itm_padding: Padding::Longest,
                vision_layer_norm_eps: Some(1e-6),
                prompt: "a picture of ".into(),
                beam_length: BeamLength::BeforeEndWithPrompt,
                nucleus_repetition_penalty: 1.1,
                min_length: 5,
                max_length: 20,
            },
            Self::Hf => Options {
                itm_first_token: FirstToken::Cls,
                itm_max_tokens: None,
                itm_padding: Padding::Longest,
                vision_layer_norm_eps: None,
                prompt: String::new(),
                beam_length: BeamLength::Generated,
                nucleus_repetition_penalty: 1.0,
                min_length: 0,
                max_length: 20,
            },
        }
    }
}

impl Options {
    /// The generation options a method starts from.
    pub fn generation(&self, method: Method) -> GenerationOptions {
        let repetition_penalty = match method {
            Method::Nucleus => self.nucleus_repetition_penalty,
            Method::Greedy | Method::Beam { .. } => 1.0,
        };
        GenerationOptions {
            method,
            top_p: 0.9,
            top_k: 50,
            repetition_penalty,
            min_length: self.min_length,
            max_length: self.max_length,
            prompt: self.prompt.clone(),
            beam_length: self.beam_length,
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "original" => Ok(Self::Original),
            "hf" => Ok(Self::Hf),
            _ => Err(format!("preset is {text:?}, expected original or hf")),
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Original => "original",
            Self::Hf => "hf",
        })
    }
}
