//! Preparation of a sample for the models: its image is decoded and resized, its text cleaned.

use crate::{
    image::{ImageLimits, ImageSkip, RgbImage, decode},
    input::{ImageInput, Sample, TextInput},
    resize::Resizer,
    text::{Judgeable, judgeable, pre_caption},
};
use bytes::Bytes;
use capfilt_schemas::{
    ledger::LedgerRow,
    status::{RowStatus, TextStatus},
};
use sha2::{Digest as _, Sha256};

/// Settings of the preparation.
#[derive(Debug, Clone)]
pub struct PrepareSpec {
    /// Limits of an image.
    pub limits: ImageLimits,
    /// Bytes of the longest text that is judged.
    pub text_bytes: u64,
    /// Largest number of words of a cleaned text that the filter reads.
    pub max_words: usize,
    /// Sides in pixels of the images of the captioner and the filter.
    pub captioner_side: usize,
    /// As `captioner_side`, of the filter.
    pub filter_side: usize,
}

/// A sample after preparation.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The row.
    pub sample: Sample,
    /// Digest of the encoded image; `None` without bytes.
    pub image_sha256: Option<[u8; 32]>,
    /// The image for the models, or the reason for its absence.
    pub image: Result<PreparedImage, Skip>,
    /// The cleaned texts, one per text of the sample, or the reasons for their absence.
    pub texts: Vec<PreparedText>,
}

/// An image, resized for the models.
#[derive(Debug, Clone)]
pub struct PreparedImage {
    /// Size in pixels as stored, before resizing.
    pub width: u32,
    /// As `width`.
    pub height: u32,
    /// `side × side × 3` bytes for the captioner.
    pub captioner_u8: Bytes,
    /// The same for the filter; shared memory if both have the same side.
    pub filter_u8: Bytes,
}

/// Reason why an image does not go to the models.
#[derive(Debug, Clone, PartialEq)]
pub enum Skip {
    /// The row gets a status.
    For {
        /// Status of the row.
        status: RowStatus,
        /// Reason, for people.
        detail: Option<String>,
    },
    /// An earlier attempt has judged the row, and its result is kept. It does not contain long texts of the
    /// input.
    Settled(Box<LedgerRow>),
}

/// A text after cleaning, or the reason why it is not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreparedText {
    /// The filter can judge the text.
    Judgeable {
        /// The text as the filter reads it.
        cleaned: String,
    },
    /// The text is not judged, and has this status.
    Not(TextStatus),
}

/// Result of preparing a sample.
#[derive(Debug, Clone)]
pub struct Findings {
    /// Digest of the encoded image; `None` without bytes.
    pub image_sha256: Option<[u8; 32]>,
    /// The image for the models, or the reason for its absence.
    pub image: Result<PreparedImage, Skip>,
    /// The cleaned texts, one per text of the sample, or the reasons for their absence.
    pub texts: Vec<PreparedText>,
}

impl Findings {
    /// Result for a sample that is not decoded.
    pub fn untouched(sample: &Sample, skip: Skip) -> Self {
        Self { image_sha256: digest(sample), image: Err(skip), texts: not_reached(sample) }
    }

    /// Combines the result with its sample.
    pub fn of(self, sample: Sample) -> Prepared {
        Prepared { sample, image_sha256: self.image_sha256, image: self.image, texts: self.texts }
    }
}

/// Prepares one sample. The resizer belongs to the calling thread, because it keeps its buffers.
pub fn prepare(sample: &Sample, spec: &PrepareSpec, resizer: &mut Resizer) -> Findings {
    let image_sha256 = digest(sample);
    let image = prepare_image(sample, spec, resizer);
    let texts = match &image {
        Ok(_) => sample.texts.iter().map(|text| prepare_text(&text.text, spec)).collect(),
        Err(_) => not_reached(sample),
    };
    Findings { image_sha256, image, texts }
}

fn not_reached(sample: &Sample) -> Vec<PreparedText> {
    vec![PreparedText::Not(TextStatus::NotReached); sample.texts.len()]
}

fn digest(sample: &Sample) -> Option<[u8; 32]> {
    match &sample.image {
        ImageInput::Bytes { bytes, .. } => Some(Sha256::digest(bytes).into()),
        _ => None,
    }
}

fn prepare_image(sample: &Sample, spec: &PrepareSpec, resizer: &mut Resizer) -> Result<PreparedImage, Skip> {
    if !sample.selected {
        return Err(Skip::For { status: RowStatus::NotSelected, detail: None });
    }
    let image = match &sample.image {
        ImageInput::Missing => return Err(Skip::For { status: RowStatus::ImageMissing, detail: None }),
        ImageInput::Unreadable(why) => return Err(without(RowStatus::ImageUnreadable, why)),
        ImageInput::Link(link) => {
            let why = format!("{} is not fetched here", link.shown());
            return Err(without(RowStatus::ImageUnreadable, &why));
        }
        ImageInput::Unreachable(why) => return Err(without(RowStatus::ImageUnreachable, why)),
        ImageInput::Refused(why) => return Err(without(RowStatus::ImageRefused, why)),
        ImageInput::Changed(why) => return Err(without(RowStatus::ImageChanged, why)),
        ImageInput::TooLarge(why) => return Err(without(RowStatus::ImageTooLarge, why)),
        ImageInput::Bytes { bytes, .. } => decode(bytes, &spec.limits).map_err(skip)?,
    };
    let captioner_u8 = squash(&image, spec.captioner_side, resizer);
    let same = spec.filter_side == spec.captioner_side;
    let filter_u8 = if same { captioner_u8.clone() } else { squash(&image, spec.filter_side, resizer) };
    let (width, height) = image.stored_size();
    Ok(PreparedImage { width, height, captioner_u8, filter_u8 })
}

fn without(status: RowStatus, why: &str) -> Skip {
    Skip::For { status, detail: Some(why.to_owned()) }
}

fn squash(image: &RgbImage, side: usize, resizer: &mut Resizer) -> Bytes {
    let mut pixels = Vec::with_capacity(side * side * 3);
    resizer.squash(image, side, &mut pixels);
    pixels.into()
}

fn skip(why: ImageSkip) -> Skip {
    let (status, detail) = match why {
        ImageSkip::Missing => (RowStatus::ImageMissing, None),
        ImageSkip::Undecodable(detail) => (RowStatus::ImageUndecodable, Some(detail)),
        ImageSkip::Unsupported(detail) => (RowStatus::ImageUnsupported, Some(detail)),
        ImageSkip::TooLarge(detail) => (RowStatus::ImageTooLarge, Some(detail)),
        ImageSkip::TooSmall(detail) => (RowStatus::ImageTooSmall, Some(detail)),
    };
    Skip::For { status, detail }
}

fn prepare_text(text: &TextInput, spec: &PrepareSpec) -> PreparedText {
    let text = match text {
        TextInput::Missing => return PreparedText::Not(TextStatus::Missing),
        TextInput::NotUtf8(_) => return PreparedText::Not(TextStatus::NotUtf8),
        TextInput::TooMany => return PreparedText::Not(TextStatus::TooMany),
        TextInput::Text(text) if text.len() as u64 > spec.text_bytes => {
            return PreparedText::Not(TextStatus::TooLong);
        }
        TextInput::Text(text) => text,
    };
    PreparedText::of(text, spec.max_words)
}

impl PreparedText {
    /// Cleans a text of the input or of the captioner.
    pub fn of(text: &str, max_words: usize) -> Self {
        let cleaned = pre_caption(text, max_words);
        match judgeable(&cleaned) {
            Judgeable::Yes => Self::Judgeable { cleaned },
            Judgeable::Empty => Self::Not(TextStatus::Empty),
            Judgeable::UnsupportedScript => Self::Not(TextStatus::UnsupportedScript),
        }
    }

    /// Status of the text in the ledger of a judged row.
    pub fn status(&self) -> TextStatus {
        match self {
            Self::Judgeable { .. } => TextStatus::Judged,
            Self::Not(status) => *status,
        }
    }
}
