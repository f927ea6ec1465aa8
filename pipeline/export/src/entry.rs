//! A pair between reading and writing of an export: all fields except the image's bytes.

use super::{caption::Caption, digest::Digest};
use capfilt_pipeline::image::ImageFormat;
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
    /// Address of the row, if the export has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    pub text: Caption,
    /// Other texts of the same row.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Caption>,
    /// Pass-through columns, without nulls.
    pub more: Map<String, Value>,
}

/// Address of a row in the input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub file: String,
    pub row: u64,
    /// Name of the image inside its file or at its origin.
    pub member: Option<String>,
}

/// An image, and the position of its bytes among the images of its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Image {
    pub digest: Digest,
    pub offset: u64,
    pub bytes: u64,
    pub width: u32,
    pub height: u32,
    /// `None` if the bytes are not those of a known format.
    pub kind: Option<ImageFormat>,
}

impl Image {
    /// Path, below the data folder, of an image beside BLIP's lists: by its content, spread over 256 folders.
    pub fn path(&self) -> String {
        let name = self.digest.hex();
        let extension = self.kind.map_or("img", ImageFormat::extension);
        format!("images/{}/{name}.{extension}", &name[..2])
    }
}
