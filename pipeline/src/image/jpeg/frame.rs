//! Size, components and number of scans of a JPEG, from its markers.

use crate::image::{ImageLimits, ImageSkip};

const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;
/// Bytes of a coefficient; each sample has one.
const COEFFICIENT_BYTES: u64 = 2;

/// Largest number of scans. Progressive JPEGs have about ten, and at most some dozens. The format has no
/// bound, and each scan is a pass over the whole image. DALI has the same bound.
const MOST_SCANS: usize = 500;
/// Bound of scans × pixels, as a multiple of `limits.pixels`: at 100 megapixels the time of 32 scans, about 7
/// s.
const MOST_FULL_SCANS: u64 = 32;

pub(super) struct Frame {
    pub width: u32,
    pub height: u32,
    components: Vec<Component>,
    /// Whether all coefficients are kept until the last scan has been read.
    is_in_scans: bool,
    scans: usize,
}

struct Component {
    /// Sampling factors.
    across: u32,
    down: u32,
}

impl Frame {
    /// Parses the markers as libjpeg does.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ImageSkip> {
        let mut frame: Option<Self> = None;
        for (marker, data) in (Markers { bytes, at: 2 }) {
            match (marker, &mut frame) {
                // All start-of-frame markers: baseline to lossless, Huffman and arithmetic, without DHT, JPG
                // and DAC.
                (0xC0..=0xC3 | 0xC5..=0xC7 | 0xC9..=0xCB | 0xCD..=0xCF, None) => {
                    frame = Some(Self::begin(marker, data)?)
                }
                (START_OF_SCAN, Some(frame)) => {
                    frame.scans += 1;
                    let components = data.first().copied().map_or(0, usize::from);
                    frame.is_in_scans |= components < frame.components.len();
                    if !frame.is_in_scans {
                        break;
                    }
                }
                (START_OF_SCAN, None) | (END_OF_IMAGE, _) => break,
                _ => {}
            }
        }
        frame.ok_or_else(|| undecodable("there is no frame header"))
    }

    fn begin(marker: u8, data: &[u8]) -> Result<Self, ImageSkip> {
        let [_, h1, h0, w1, w0, components, rest @ ..] = data else {
            return Err(undecodable("its frame header is too short"));
        };
        let factors = rest.as_chunks::<3>().0.iter().map(|[_, factors, _]| Component {
            across: u32::from(factors >> 4),
            down: u32::from(factors & 15),
        });
        Ok(Self {
            width: u16::from_be_bytes([*w1, *w0]).into(),
            height: u16::from_be_bytes([*h1, *h0]).into(),
            components: factors.take(usize::from(*components)).collect(),
            is_in_scans: matches!(marker, 0xC2 | 0xC6 | 0xCA | 0xCE),
            scans: 0,
        })
    }

    fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// # Errors
    /// [`ImageSkip::TooLarge`] for too many scans.
    pub(super) fn admit(&self, limits: &ImageLimits) -> Result<(), ImageSkip> {
        let most = MOST_FULL_SCANS.saturating_mul(limits.pixels) / self.pixels().max(1);
        let most = most.min(MOST_SCANS as u64);
        if self.scans as u64 <= most {
            return Ok(());
        }
        let (width, height, scans) = (self.width, self.height, self.scans);
        Err(ImageSkip::TooLarge(format!(
            "a JPEG of {width} × {height} pixels in {scans} scans; at most {most} are decoded at this size"
        )))
    }

    /// Samples of all components, including the padding to whole blocks.
    fn samples(&self) -> u64 {
        let most =
            |factor: fn(&Component) -> u32| self.components.iter().map(factor).max().unwrap_or(1).max(1);
        let (most_across, most_down) = (most(|one| one.across), most(|one| one.down));
        let padded = |side: u32, factor: u32, most: u32| {
            u64::from((side * factor).div_ceil(8 * most).next_multiple_of(factor.max(1))) * 8
        };
        let samples = |one: &Component| {
            padded(self.width, one.across, most_across) * padded(self.height, one.down, most_down)
        };
        self.components.iter().map(samples).sum()
    }

    /// Peak memory of decoding in bytes; see [`super::decode`] for the contents.
    pub(super) fn peak_bytes(&self) -> u64 {
        let (pixels, samples) = (self.pixels(), self.samples());
        let coefficients = if self.is_in_scans { COEFFICIENT_BYTES * samples } else { 0 };
        // libjpeg's rows of blocks, before and after upsampling.
        let rows = 64 * u64::from(self.width) * self.components.len() as u64 + (1 << 20);
        let pixel_bytes = match self.components.len() {
            1 => (coefficients + pixels).max(4 * pixels),
            // Planes and RGB, or RGB directly.
            3 => (coefficients + samples).max(samples + 3 * pixels).max(coefficients + 3 * pixels),
            _ => coefficients + 3 * pixels,
        };
        pixel_bytes + rows
    }
}

/// Iterates over markers and their data, from `at` on. Markers without a length are skipped, except the end
/// of the image.
struct Markers<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Markers<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.bytes.get(self.at..)?;
            let begin = memchr::memchr(0xFF, rest)?;
            let filled = rest[begin..].iter().take_while(|byte| **byte == 0xFF).count();
            let marker = *rest.get(begin + filled)?;
            self.at += begin + filled + 1;
            match marker {
                // A stuffed 0xFF of pixels; markers without data.
                0x00 | 0x01 | 0xD0..=0xD8 => {}
                END_OF_IMAGE => return Some((marker, &[])),
                _ => {
                    let rest = self.bytes.get(self.at..)?;
                    let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
                    self.at += length.max(2);
                    return Some((marker, rest.get(2..length.min(rest.len())).unwrap_or_default()));
                }
            }
        }
    }
}

fn undecodable(what: &str) -> ImageSkip {
    ImageSkip::Undecodable(what.to_owned())
}
