//! Settings of the captions: their origin, their generation, and which of them are kept.

use super::Method;
use serde::{Deserialize, Serialize};

/// Generation of captions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Captioner {
    /// Method of choosing the next token.
    pub method: Method,
    /// Candidates of a beam search.
    pub beams: u32,
    /// Nucleus sampling: sum of the probabilities of the most probable tokens to sample from.
    pub top_p: f64,
    /// Nucleus sampling: number of most probable tokens to sample from; 0: all.
    pub top_k: u32,
    /// Penalty of tokens that the caption already has; 1: none.
    pub repetition_penalty: f64,
    /// Least tokens of a caption, including prompt and end.
    pub min_length: u32,
    /// Most tokens of a caption, including prompt and end.
    pub max_length: u32,
    /// Text before each caption, which the output omits; the instruction of an endpoint.
    pub prompt: String,
    /// Captions per image.
    pub captions: u32,
    /// Images that get captions.
    #[serde(skip_serializing_if = "When::is_always")]
    pub when: When,
    /// Most captions of an image that are kept: those with the highest P(match). Without it: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<u32>,
    /// Captions that repeat themselves more than this are not judged. Without it: all are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_repetition: Option<f64>,
    /// Base URL of another program that writes the captions, in OpenAI's protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Name of the endpoint's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Environment variable with the endpoint's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Most tokens of an endpoint's answer.
    #[serde(skip_serializing_if = "is_default_tokens")]
    pub max_tokens: u32,
    /// Requests of one worker process that are under way at the endpoint.
    #[serde(skip_serializing_if = "is_default_concurrency")]
    pub concurrency: u32,
    /// Time limit of one request to the endpoint, in seconds.
    #[serde(skip_serializing_if = "is_default_seconds")]
    pub request_seconds: u32,
}

const MAX_TOKENS: u32 = 128;
const CONCURRENCY: u32 = 16;
const REQUEST_SECONDS: u32 = 120;

fn is_default_tokens(tokens: &u32) -> bool {
    *tokens == MAX_TOKENS
}
fn is_default_concurrency(requests: &u32) -> bool {
    *requests == CONCURRENCY
}
fn is_default_seconds(seconds: &u32) -> bool {
    *seconds == REQUEST_SECONDS
}

impl Default for Captioner {
    fn default() -> Self {
        Self {
            method: Method::Nucleus,
            beams: 3,
            top_p: 0.9,
            top_k: 50,
            repetition_penalty: 1.1,
            min_length: 5,
            max_length: 20,
            prompt: "a picture of ".to_owned(),
            captions: 1,
            when: When::Always,
            keep: None,
            max_repetition: None,
            endpoint: None,
            model: None,
            api_key_env: None,
            max_tokens: MAX_TOKENS,
            concurrency: CONCURRENCY,
            request_seconds: REQUEST_SECONDS,
        }
    }
}

/// Images that get captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// All images.
    #[default]
    Always,
    /// Images of which the filter keeps none of the row's own texts.
    NoTextKept,
}

impl When {
    fn is_always(&self) -> bool {
        *self == Self::Always
    }
}

/// Codes (ISO 639-1) of the languages that are recognised in texts.
pub const LANGUAGES: [&str; 70] = [
    "af", "ak", "am", "ar", "az", "be", "bg", "bn", "ca", "cs", "cy", "da", "de", "el", "en", "eo", "es",
    "et", "fa", "fi", "fr", "gu", "he", "hi", "hr", "hu", "hy", "id", "it", "ja", "jv", "ka", "km", "kn",
    "ko", "la", "lt", "lv", "mk", "ml", "mr", "my", "nb", "ne", "nl", "or", "pa", "pl", "pt", "ro", "ru",
    "si", "sk", "sl", "sn", "sr", "sv", "ta", "te", "th", "tk", "tl", "tr", "uk", "ur", "uz", "vi", "yi",
    "zh", "zu",
];
