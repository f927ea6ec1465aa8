//! Meaning of a TIFF's samples: the combinations of tags that Pillow supports, and their conversion.

use super::super::samples::{ByteOrder, Colours, Depth, Layout, Number};
use super::directory::{Directory, tag};
use super::faults::unsupported;
use crate::image::ImageSkip;

/// Tag values for associated alpha, and for sample formats.
const ASSOCIATED: u64 = 1;
const UNSIGNED: u64 = 1;
const SIGNED: u64 = 2;
const FLOAT: u64 = 3;
/// Largest number of samples per pixel that Pillow supports.
const MOST_SAMPLES: usize = 6;

pub(super) struct Meaning {
    pub layout: Layout,
    /// The lowest bits of each byte come first.
    pub is_reversed: bool,
    /// Luma and chroma, which the JPEG decoder converts to RGB.
    pub is_ycc: bool,
    /// Samples are stored by channel, not by pixel.
    pub is_planar: bool,
    /// RGB with a fourth sample that no tag describes.
    pub is_alpha_unsaid: bool,
    pub order: ByteOrder,
}

/// The relevant tags, with Pillow's defaults.
struct Tags {
    order: ByteOrder,
    photometric: u64,
    format: u64,
    is_reversed: bool,
    bits: u64,
    samples: usize,
    extra: Vec<u64>,
}

impl Meaning {
    pub(super) fn of(directory: &Directory) -> Result<Self, ImageSkip> {
        let is_planar = directory.number(tag::PLANES) == Some(2);
        let tags = Tags::of(directory, is_planar)?;
        let is_ycc = tags.photometric == 6 && tags.samples == 3;
        let (depth, mut colours) = tags.depth_and_colours(directory).ok_or_else(|| tags.refused())?;
        let is_alpha_unsaid = tags.photometric == 2 && tags.samples == 4 && tags.extra.is_empty();
        if is_planar && is_alpha_unsaid {
            // libtiff treats a fourth plane without a description as unspecified, and Pillow treats that as
            // associated alpha.
            colours = Colours::Premultiplied;
        }
        let layout = Layout { depth, samples_per_pixel: tags.samples, colours };
        let is_planar = is_planar && tags.samples > 1;
        Ok(Self {
            layout,
            is_reversed: tags.is_reversed,
            is_ycc,
            is_planar,
            is_alpha_unsaid,
            order: tags.order,
        })
    }

    pub(super) fn planes(&self) -> usize {
        if self.is_planar { self.layout.samples_per_pixel } else { 1 }
    }

    pub(super) fn samples_in_a_plane(&self) -> usize {
        if self.is_planar { 1 } else { self.layout.samples_per_pixel }
    }
}

impl Tags {
    fn of(directory: &Directory, is_planar: bool) -> Result<Self, ImageSkip> {
        let numbers = |tag: u16| directory.numbers(tag).unwrap_or_default();
        let (mut bits, mut extra, formats) =
            (numbers(tag::BITS_PER_SAMPLE), numbers(tag::EXTRA_SAMPLES), numbers(tag::SAMPLE_FORMAT));
        let mut samples = directory.number(tag::SAMPLES_PER_PIXEL).unwrap_or(1) as usize;
        if bits.is_empty() {
            bits.push(1);
        }
        // Trailing planes of unknown kind are ignored.
        if is_planar && !extra.is_empty() && extra.iter().all(|kind| *kind == 0) {
            bits.truncate(bits.len().saturating_sub(extra.len()).max(1));
            samples = samples.saturating_sub(extra.len());
            extra.clear();
        }
        if samples > MOST_SAMPLES {
            return Err(unsupported(&format!("with {samples} samples a pixel")));
        }
        bits.truncate(samples.max(1));
        let [first_bits, ..] = bits[..] else { return Err(unsupported("without samples")) };
        let is_uniform =
            bits.iter().all(|bits| *bits == first_bits) && (bits.len() == 1 || bits.len() == samples);
        let format = formats.first().copied().unwrap_or(UNSIGNED);
        if !is_uniform || formats.iter().any(|other| *other != format) || samples == 0 {
            return Err(unsupported("whose samples differ in their bits or their format"));
        }
        Ok(Self {
            order: directory.order,
            photometric: directory.number(tag::PHOTOMETRIC).unwrap_or(0),
            format,
            is_reversed: directory.number(tag::FILL_ORDER) == Some(2),
            bits: first_bits,
            samples,
            extra,
        })
    }

    fn depth_and_colours(&self, directory: &Directory) -> Option<(Depth, Colours)> {
        // Only few kinds of samples support reversed bits.
        let may_be_reversed = match (self.photometric, self.samples) {
            (0 | 1 | 3, 1) => {
                self.bits <= 8 || (self.photometric, self.bits, self.order) == (1, 16, ByteOrder::Little)
            }
            (2, 3) => self.bits == 8,
            _ => false,
        };
        if self.is_reversed && (!may_be_reversed || self.format != UNSIGNED) {
            return None;
        }
        match self.photometric {
            0 | 1 => self.greys(),
            _ if self.format != UNSIGNED => None,
            2 => self.rgb(),
            3 => {
                let is_known = matches!(
                    (self.bits, self.samples, &self.extra[..]),
                    (1 | 2 | 4 | 8, 1, []) | (8, 2, [0 | 2])
                );
                let depth = if self.bits == 8 { Depth::Byte } else { Depth::Packed(self.bits as u32) };
                is_known
                    .then(|| palette(directory))
                    .flatten()
                    .map(|colours| (depth, Colours::Palette(colours)))
            }
            5 => match (self.bits, self.samples, &self.extra[..]) {
                (8, 4, []) | (8, 5, [0]) | (8, 6, [0, 0]) => Some((Depth::Byte, Colours::Cmyk)),
                (16, 4, []) => Some((Depth::High(self.order), Colours::Cmyk)),
                _ => None,
            },
            6 => match (self.bits, self.samples, &self.extra[..]) {
                (8, 1, []) => Some((Depth::Byte, Colours::Grey { is_inverted: false })),
                (8, 3, []) => Some((Depth::Byte, Colours::Rgb)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Pillow does not invert white-is-zero of more than 8 bits.
    fn greys(&self) -> Option<(Depth, Colours)> {
        let grey = |depth: Depth, is_inverted: bool| Some((depth, Colours::Grey { is_inverted }));
        let clipped = |number: Number| grey(Depth::Clipped(number), false);
        let (order, is_little) = (self.order, self.order == ByteOrder::Little);
        let is_white_zero = self.photometric == 0;
        match (self.bits, self.format, self.samples, &self.extra[..]) {
            (1 | 2 | 4, UNSIGNED, 1, []) => grey(Depth::Packed(self.bits as u32), is_white_zero),
            (8, UNSIGNED, 1, []) => grey(Depth::Byte, is_white_zero),
            (8, SIGNED, 1, []) | (8, UNSIGNED, 2, [0 | 2]) if !is_white_zero => grey(Depth::Byte, false),
            (12, UNSIGNED, 1, []) if !is_white_zero && is_little => clipped(Number::U12),
            (16, UNSIGNED, 1, []) if !is_white_zero || is_little => clipped(Number::U16(order)),
            (16, SIGNED, 1, []) if !is_white_zero => clipped(Number::I16(order)),
            (32, UNSIGNED, 1, []) if !is_white_zero && is_little => clipped(Number::I32(order)),
            (32, SIGNED, 1, []) if !is_white_zero => clipped(Number::I32(order)),
            (32, FLOAT, 1, []) => clipped(Number::F32(order)),
            _ => None,
        }
    }

    fn rgb(&self) -> Option<(Depth, Colours)> {
        let depth = if self.bits == 8 { Depth::Byte } else { Depth::High(self.order) };
        let colours = match (self.bits, self.samples, &self.extra[..]) {
            (8 | 16, 3, []) | (8 | 16, 4, [] | [0 | 2]) | (8, 4, [999]) => Colours::Rgb,
            (8, 5, [0 | 2, 0]) | (8, 6, [0 | 2, 0, 0]) => Colours::Rgb,
            (8 | 16, 4, [ASSOCIATED]) | (8, 5, [ASSOCIATED, 0]) | (8, 6, [ASSOCIATED, 0, 0]) => {
                Colours::Premultiplied
            }
            _ => return None,
        };
        Some((depth, colours))
    }

    fn refused(&self) -> ImageSkip {
        let Self { photometric, format, bits, samples, extra, .. } = self;
        let order = if self.order == ByteOrder::Big { ", big-endian" } else { "" };
        let reversed = if self.is_reversed { ", bits reversed" } else { "" };
        unsupported(&format!(
            "of photometric {photometric} with {samples} samples of {bits} bits, format {format}, \
             extra {extra:?}{order}{reversed}"
        ))
    }
}

/// All reds, then all greens, then all blues, 16 bits each.
fn palette(directory: &Directory) -> Option<Vec<[u8; 3]>> {
    let values = directory.numbers(tag::PALETTE)?;
    let colours = values.len() / 3;
    let colour = |index: usize| [0, 1, 2].map(|channel| (values[channel * colours + index] >> 8) as u8);
    (colours <= 256).then(|| (0..colours).map(colour).collect())
}
