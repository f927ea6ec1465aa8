//! Errors of an endpoint.

use std::time::Duration;

/// Reason why an endpoint cannot write the captions of a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum EndpointError {
    #[error("captioner.endpoint = {url} is not a URL of HTTP: {why}")]
    Url { url: String, why: String },
    #[error(
        "the environment has no variable {variable}, which captioner.api_key_env names; set it to the key"
    )]
    NoKey { variable: String },
    #[error("the HTTP client does not start: {0}")]
    Client(String),
    #[error(
        "the captioner's endpoint {endpoint} is unavailable for {waited} s: {why}; start it, or correct \
         captioner.endpoint, then run the same command again"
    )]
    Unavailable { endpoint: String, waited: u64, why: String },
    #[error("the captioner's endpoint {endpoint} refuses every request: {why}")]
    Refused { endpoint: String, why: String },
    #[error(
        "the captioner's endpoint {endpoint} does not serve captioner.model = {model}; it serves {served}"
    )]
    OtherModel { endpoint: String, model: String, served: String },
    #[error(
        "the captioner's endpoint {endpoint} gave no caption for {captions} requests in a row; the last \
         reason: {why}"
    )]
    NoCaptions { endpoint: String, captions: u32, why: String },
}

/// Result of one request that has no caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RequestError {
    /// The endpoint is not reached or is overloaded: the same request may succeed later.
    Unavailable {
        why: String,
        /// Wait that the endpoint requests.
        retry_after: Option<Duration>,
    },
    /// The endpoint fails at this request; another attempt may succeed.
    Failed(String),
    /// The endpoint refuses this image.
    Refused(String),
    /// The endpoint refuses every request with these settings.
    Rejected(String),
}
