//! A pair between reading and writing of an export: all fields except the image's bytes.

use super::{caption::Caption, digest::Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One pair of a task, as a line of the task's list in the scratch folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Position in a shuffled order.
    pub place: u64,
    pub pair: Digest,
    pub image: Image,
    pub key: Option<String>,
    pub text: Caption,
    /// Other texts of the same row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Caption>,
    /// Pass-through columns, without nulls.
    pub more: Map<String, Value>,
}

/// An image, and the position of its bytes among the images of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub digest: Digest,
    pub offset: u64,
    pub bytes: u64,
    pub width: u32,
    pub height: u32,
    pub kind: Kind,
}

/// Format of an image, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Jpg,
    Png,
    Webp,
    Gif,
    Bmp,
    Tiff,
    Other,
}

impl Kind {
    pub fn of(image: &[u8]) -> Self {
        match image {
            [0xFF, 0xD8, 0xFF, ..] => Self::Jpg,
            [0x89, b'P', b'N', b'G', ..] => Self::Png,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Self::Webp,
            [b'G', b'I', b'F', b'8', ..] => Self::Gif,
            [b'B', b'M', ..] => Self::Bmp,
            [b'I', b'I', ..] | [b'M', b'M', ..] => Self::Tiff,
            _ => Self::Other,
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Jpg => "jpg",
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
            Self::Other => "img",
        }
    }
}

impl Image {
    /// Path, below the data folder, of an image beside BLIP's lists: by its content, spread over 256 folders.
    pub fn path(&self) -> String {
        let name = self.digest.hex();
        format!("images/{}/{name}.{}", &name[..2], self.kind.extension())
    }
}
