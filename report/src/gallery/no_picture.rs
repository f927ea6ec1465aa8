//! Reasons why a sampled row has no picture.

/// Most bytes of a tar or of a shard that are read for its sampled images.
pub(super) const READ_BYTES: u64 = 256 << 20;

/// Reason why a sampled row has no picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPicture {
    /// The row has no image bytes, or they are deleted.
    Missing,
    /// The row has a link; nothing is fetched from the web.
    Link,
    /// Processing the image ended a worker process.
    Crashed,
    /// The bytes are not those that the job judged.
    Changed,
    /// The input or the pairs cannot be read.
    Unreadable,
    /// The tar of the row is larger than the report reads for a picture.
    TooMuchToRead,
    /// The image is not decoded.
    Undecodable,
}

impl NoPicture {
    /// The reason for people.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Missing => "no image",
            Self::Link => "a link, which is not fetched",
            Self::Crashed => "not decoded: the image ended a worker process",
            Self::Changed => "the image has changed since",
            Self::Unreadable => "the image cannot be read",
            Self::TooMuchToRead => "in a tar that is too large to read for a picture",
            Self::Undecodable => "the image cannot be decoded",
        }
    }
}
