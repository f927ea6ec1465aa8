//! Reasons why an image is not judged.

/// Reason why a row has no image to judge. One variant per status of the ledger; the text is its `detail`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageSkip {
    /// There are no bytes.
    #[error("there is no image")]
    Missing,
    /// The bytes start like an image and cannot be decoded completely.
    #[error("the image can't be decoded: {0}")]
    Undecodable(String),
    /// The bytes are not an image of a supported format.
    #[error("the image format is not supported: {0}")]
    Unsupported(String),
    /// More bytes or pixels than the limits allow.
    #[error("the image is too large: {0}")]
    TooLarge(String),
    /// A side is shorter than the limits allow.
    #[error("the image is too small: {0}")]
    TooSmall(String),
}
