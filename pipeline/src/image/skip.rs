//! Reasons why an image is not judged.

/// Reason why a row has no image to judge. One variant per status of the ledger; the text is its `detail`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageSkip {
    #[error("there is no image")]
    Missing,
    #[error("the image can't be decoded: {0}")]
    Undecodable(String),
    #[error("the image format is not supported: {0}")]
    Unsupported(String),
    #[error("the image is too large: {0}")]
    TooLarge(String),
    #[error("the image is too small: {0}")]
    TooSmall(String),
}
