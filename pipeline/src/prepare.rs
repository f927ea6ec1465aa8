//! Preparation of a sample for the models: its image is decoded and resized, its text cleaned.

use crate::{
    frames::{Frames, decode_each, repeated},
    framing::{Framing, Square},
    image::{ImageLimits, ImageSkip, RgbImage, decode},
    image_hash::image_hash,
    input::{ImageInput, Sample, TextInput},
    language::language,
    repetition::repetition,
    resize::Resizer,
    text::{Judgeable, judgeable, pre_caption},
};
use bytes::Bytes;
use capfilt_schemas::{
    ledger::LedgerRow,
    status::{RowStatus, TextStatus},
    texts::LedgerText,
};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// Settings of the preparation.
#[derive(Debug, Clone)]
pub struct PrepareSpec {
    /// Limits of an image.
    pub limits: ImageLimits,
    /// Bytes of the longest text that is judged.
    pub text_bytes: u64,
    /// Largest number of words of a cleaned text that the filter reads.
    pub max_words: usize,
    /// Languages of the texts that are judged; empty: all.
    pub languages: Vec<String>,
    /// Sides in pixels of the images of the captioner and the filter.
    pub captioner_side: usize,
    /// As `captioner_side`, of the filter.
    pub filter_side: usize,
    /// Squares of the CLIP, in a job with one.
    pub clip: Option<Square>,
    /// Frames of each row, of a job with clips.
    pub frames: Option<Frames>,
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
    /// Size in pixels as stored, before resizing; of a clip, that of its first decoded frame.
    pub width: u32,
    /// As `width`.
    pub height: u32,
    /// Perceptual hash of the filter's pixels.
    pub hash: Option<u64>,
    /// `side × side × 3` bytes for the captioner; of a clip, for each frame.
    pub captioner_u8: Bytes,
    /// The same for the filter; shared memory if both have the same side.
    pub filter_u8: Bytes,
    /// The same for the CLIP, with the CLIP's framing; empty in a job without CLIP.
    pub clip_u8: Bytes,
    /// Note about frames of a clip that are left out, for the ledger's `detail`.
    pub note: Option<String>,
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

/// A text after cleaning, with its measures.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedText {
    /// The text as the filter reads it, or the status of a text that is not judged.
    pub cleaned: Result<String, TextStatus>,
    /// Language of the text, if it is certain.
    pub language: Option<&'static str>,
    /// Share of repeated word pairs; `None` without a text that was read.
    pub repetition: Option<f32>,
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
    vec![PreparedText::not(TextStatus::NotReached); sample.texts.len()]
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
        ImageInput::Bytes { bytes, .. } => match spec.frames {
            Some(frames) => return prepare_clip(bytes, frames, spec, resizer).map_err(skip),
            None => decode(bytes, &spec.limits).map_err(skip)?,
        },
    };
    let squash = |side| Square { side, framing: Framing::Squash };
    let captioner_u8 = pixels(&image, squash(spec.captioner_side), resizer);
    let filter_u8 = match spec.filter_side == spec.captioner_side {
        true => captioner_u8.clone(),
        false => pixels(&image, squash(spec.filter_side), resizer),
    };
    let clip_u8 = spec.clip.map(|square| pixels(&image, square, resizer)).unwrap_or_default();
    let (width, height) = image.stored_size();
    let hash = image_hash(&filter_u8, spec.filter_side);
    Ok(PreparedImage { width, height, hash, captioner_u8, filter_u8, clip_u8, note: None })
}

/// Decodes and resizes the sampled frames of a clip. Memory: one decoded frame, and the pixels of all frames.
fn prepare_clip(
    bytes: &Bytes,
    frames: Frames,
    spec: &PrepareSpec,
    resizer: &mut Resizer,
) -> Result<PreparedImage, ImageSkip> {
    let room = |side: usize| Vec::with_capacity(frames.count * side * side * 3);
    let (mut captioner_u8, mut filter_u8) = (room(spec.captioner_side), Vec::new());
    let (mut size, is_shared) = (None, spec.filter_side == spec.captioner_side);
    let decoded = decode_each(bytes, frames.count, &spec.limits, |frame| {
        size.get_or_insert(frame.stored_size());
        resizer.squash(frame, spec.captioner_side, &mut captioner_u8);
        if !is_shared {
            resizer.squash(frame, spec.filter_side, &mut filter_u8);
        }
    })?;
    let whole = |pixels| Bytes::from(repeated(pixels, decoded.good, frames.count));
    let captioner_u8 = whole(captioner_u8);
    let filter_u8 = if is_shared { captioner_u8.clone() } else { whole(filter_u8) };
    let frame = spec.filter_side * spec.filter_side * 3;
    let hash = image_hash(&filter_u8[frames.middle() * frame..][..frame], spec.filter_side);
    let (width, height) = size.unwrap_or_default();
    let note = decoded.note();
    Ok(PreparedImage { width, height, hash, captioner_u8, filter_u8, clip_u8: Bytes::new(), note })
}

fn without(status: RowStatus, why: &str) -> Skip {
    Skip::For { status, detail: Some(why.to_owned()) }
}

fn pixels(image: &RgbImage, square: Square, resizer: &mut Resizer) -> Bytes {
    let mut pixels = Vec::with_capacity(square.side * square.side * 3);
    resizer.square(image, square, &mut pixels);
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
        TextInput::Missing => return PreparedText::not(TextStatus::Missing),
        TextInput::NotUtf8(_) => return PreparedText::not(TextStatus::NotUtf8),
        TextInput::TooMany => return PreparedText::not(TextStatus::TooMany),
        TextInput::Text(text) if text.len() as u64 > spec.text_bytes => {
            return PreparedText::not(TextStatus::TooLong);
        }
        TextInput::Text(text) => text,
    };
    PreparedText::of(text, spec.max_words, &spec.languages)
}

impl PreparedText {
    /// Cleans and measures a text of the input or of the captioner. A text whose language is certain and not
    /// in `languages` is not judged; an empty list allows all languages.
    pub fn of(text: &str, max_words: usize, languages: &[String]) -> Self {
        let cleaned = pre_caption(text, max_words);
        let language = language(text);
        let is_other = |code: &str| !languages.is_empty() && languages.iter().all(|allowed| allowed != code);
        let cleaned = match judgeable(&cleaned) {
            Judgeable::Empty => Err(TextStatus::Empty),
            Judgeable::UnsupportedScript => Err(TextStatus::UnsupportedScript),
            Judgeable::Yes if language.is_some_and(is_other) => Err(TextStatus::WrongLanguage),
            Judgeable::Yes => Ok(cleaned),
        };
        Self { cleaned, language, repetition: Some(repetition(text)) }
    }

    /// A text that was not read, with its status.
    pub fn not(status: TextStatus) -> Self {
        Self { cleaned: Err(status), language: None, repetition: None }
    }

    /// The entry of the ledger, without scores.
    pub(crate) fn in_ledger(&self, source: Arc<str>, text: Option<String>) -> LedgerText {
        LedgerText {
            language: self.language.map(str::to_owned),
            repetition: self.repetition,
            ..LedgerText::new(source, text, self.status())
        }
    }

    /// Status of the text in the ledger of a judged row.
    pub fn status(&self) -> TextStatus {
        self.cleaned.as_ref().err().copied().unwrap_or(TextStatus::Judged)
    }
}
