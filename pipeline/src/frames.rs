//! Clips: the encoded frames of a row as one value, and the frames that a model sees.
//!
//! A clip travels through the stages as one encoded value, so that it has one digest, one size and one place
//! in every queue, as an image has. The value is `MAGIC`, then each frame: its length (u32, little-endian)
//! and its bytes. A frame without bytes (null in the input) has length 0. Memory: the bytes of the frames
//! once; [`unpack`] shares them.

use crate::image::{ImageLimits, ImageSkip, RgbImage, decode};
use bytes::Bytes;
use capfilt_schemas::settings::FrameMatching;

/// First bytes of a packed clip; no image format begins with them.
const MAGIC: &[u8; 16] = b"capfilt frames 1";

/// Number of frames of every clip of a batch, and their computation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frames {
    /// Frames of each clip; 1 for images.
    pub count: usize,
    /// Computation of P(match).
    pub matching: FrameMatching,
}

impl Frames {
    /// The frame of an image.
    pub const ONE: Self = Self { count: 1, matching: FrameMatching::Max };

    /// Frames whose tokens are concatenated, as in BLIP's answers about videos.
    pub fn of_tokens(count: u32) -> Self {
        Self { count: count.max(1) as usize, matching: FrameMatching::Tokens }
    }

    /// The frame that represents a clip: the middle one.
    pub fn middle(self) -> usize {
        self.count / 2
    }
}

/// Packs the frames of a clip; empty without frames.
pub fn pack(frames: &[Option<Bytes>]) -> Bytes {
    if frames.is_empty() {
        return Bytes::new();
    }
    let bytes = |frame: &Option<Bytes>| frame.as_ref().map_or(0, Bytes::len);
    let all: usize = frames.iter().map(|frame| 4 + bytes(frame)).sum();
    let mut packed = Vec::with_capacity(MAGIC.len() + all);
    packed.extend_from_slice(MAGIC);
    for frame in frames {
        // A list of Parquet has at most 2 GiB.
        packed.extend_from_slice(&(bytes(frame) as u32).to_le_bytes());
        packed.extend_from_slice(frame.as_deref().unwrap_or_default());
    }
    packed.into()
}

/// The frames of a packed clip; `None` for an image, or for bytes that end within a frame.
pub fn unpack(packed: &Bytes) -> Option<Vec<Bytes>> {
    let mut at = packed.starts_with(MAGIC).then_some(MAGIC.len())?;
    let mut frames = Vec::new();
    while at < packed.len() {
        let length = packed.get(at..at + 4)?.try_into().map(u32::from_le_bytes).ok()? as usize;
        at += 4;
        packed.get(at..at.checked_add(length)?)?;
        frames.push(packed.slice(at..at + length));
        at += length;
    }
    Some(frames)
}

/// A picture of a value for people: the image, or the middle frame of a clip.
pub fn still(bytes: Bytes) -> Bytes {
    match unpack(&bytes) {
        Some(frames) => frames.get(frames.len() / 2).cloned().unwrap_or_default(),
        None => bytes,
    }
}

/// Positions of `wanted` frames of a clip of `stored` frames, uniformly: ⌊i · stored / wanted⌋, the first
/// frame included. A clip of fewer frames gives all of them. BLIP's `uniform` is equal where `stored` is a
/// multiple of `wanted`; elsewhere its step is rounded down, and it leaves out the end of the clip.
pub fn sampled(stored: usize, wanted: usize) -> impl Iterator<Item = usize> {
    let wanted = wanted.min(stored);
    (0..wanted).map(move |i| i * stored / wanted)
}

/// Result of decoding the sampled frames of a clip.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Number of decoded frames.
    pub good: usize,
    /// Frames that do not decode, with their position in the clip.
    pub bad: Vec<(usize, ImageSkip)>,
}

impl Decoded {
    /// Note about bad frames of a usable clip, for people.
    pub fn note(&self) -> Option<String> {
        let (at, why) = self.bad.first()?;
        let sampled = self.good + self.bad.len();
        Some(format!("{} of {sampled} frames are left out; frame {at}: {}", self.bad.len(), reason(why)))
    }
}

fn reason(skip: &ImageSkip) -> &str {
    match skip {
        ImageSkip::Missing => "no bytes",
        ImageSkip::Undecodable(why)
        | ImageSkip::Unsupported(why)
        | ImageSkip::TooLarge(why)
        | ImageSkip::TooSmall(why) => why,
    }
}

/// Decodes up to `wanted` sampled frames of a clip, one after the other, so that one decoded frame is in
/// memory; `each` receives the decoded ones. An image is a clip of one frame.
///
/// # Errors
/// The reason of the first frame, if no frame decodes.
pub fn decode_each(
    bytes: &Bytes,
    wanted: usize,
    limits: &ImageLimits,
    mut each: impl FnMut(&RgbImage),
) -> Result<Decoded, ImageSkip> {
    let frames = unpack(bytes).unwrap_or_else(|| vec![bytes.clone()]);
    let mut decoded = Decoded::default();
    for at in sampled(frames.len(), wanted) {
        match decode(&frames[at], limits) {
            Ok(frame) => {
                each(&frame);
                decoded.good += 1;
            }
            Err(why) => decoded.bad.push((at, why)),
        }
    }
    match (decoded.good, decoded.bad.first()) {
        (0, Some((_, why))) => Err(why.clone()),
        (0, None) => Err(ImageSkip::Missing),
        _ => Ok(decoded),
    }
}

/// Pixels of exactly `wanted` frames: those of fewer good frames are repeated in place, uniformly.
pub fn repeated(pixels: Vec<u8>, good: usize, wanted: usize) -> Vec<u8> {
    if good == wanted || good == 0 {
        return pixels;
    }
    let frame = pixels.len() / good;
    (0..wanted).flat_map(|i| &pixels[i * good / wanted * frame..][..frame]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::encode_png;

    fn png(grey: u8) -> Bytes {
        let image = RgbImage { width: 2, height: 2, pixels_u8: vec![grey; 12], reduced_from: None };
        encode_png(&image).into()
    }

    #[test]
    fn frames_come_back_from_their_value_and_an_image_is_not_a_clip() {
        let frames = [Some(png(1)), None, Some(Bytes::new()), Some(png(9))];
        let packed = pack(&frames);
        let found = unpack(&packed).unwrap();
        assert!(found.iter().eq(frames.map(Option::unwrap_or_default).iter()));
        assert_eq!(unpack(&png(1)), None);
        assert_eq!(pack(&[]), Bytes::new());
        for end in MAGIC.len() + 1..packed.len() {
            let cut = unpack(&packed.slice(..end));
            assert!(cut.is_none_or(|frames| frames.len() < 4), "{end}");
        }
        assert_eq!((still(packed), still(png(3))), (Bytes::new(), png(3)));
    }

    #[test]
    fn sampling_is_uniform_and_begins_with_the_first_frame() {
        let of = |stored, wanted| sampled(stored, wanted).collect::<Vec<_>>();
        assert_eq!(of(16, 8), [0, 2, 4, 6, 8, 10, 12, 14]);
        assert_eq!(of(30, 8), [0, 3, 7, 11, 15, 18, 22, 26]);
        assert_eq!((of(3, 8), of(5, 1), of(0, 8)), (vec![0, 1, 2], vec![0], vec![]));
    }

    #[test]
    fn bad_frames_are_left_out_with_a_note_and_a_clip_of_bad_frames_has_their_reason() {
        let limits = ImageLimits::default();
        let mut greys = Vec::new();
        let mixed = pack(&[Some(png(10)), Some(Bytes::from_static(b"no")), Some(png(30)), None]);
        let decoded = decode_each(&mixed, 4, &limits, |frame| greys.push(frame.pixels_u8[0])).unwrap();
        assert_eq!((greys, decoded.good), (vec![10, 30], 2));
        let note = decoded.note().unwrap();
        assert!(note.starts_with("2 of 4 frames are left out; frame 1: "), "{note}");
        let bad = pack(&[None, Some(Bytes::from_static(b"no"))]);
        assert!(matches!(decode_each(&bad, 4, &limits, |_| ()), Err(ImageSkip::Missing)));
        let whole = decode_each(&png(7), 8, &limits, |_| ()).unwrap();
        assert_eq!((whole.good, whole.note()), (1, None));
    }

    #[test]
    fn fewer_frames_are_repeated_in_place() {
        assert_eq!(repeated(vec![1, 1, 2, 2], 2, 5), [1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
        assert_eq!(repeated(vec![1, 2, 3], 3, 3), [1, 2, 3]);
    }
}
