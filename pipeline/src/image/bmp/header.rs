//! Headers and palette of a BMP.

use super::super::samples::{Colours, Depth, Layout};
use crate::image::ImageSkip;

/// Storage of the pixels.
pub(super) enum Pixels {
    Samples(Layout),
    /// 5 bits per channel, or 6 for green; blue is in the lowest bits.
    Short {
        green_bits: u32,
    },
    /// Bytes per pixel, and the positions of red, green and blue.
    Bytes {
        length: usize,
        rgb: [usize; 3],
    },
    /// Run-length coded indices.
    Runs {
        is_4_bit: bool,
        colours: Box<[[u8; 3]; 256]>,
    },
}

const FILE_HEADER: usize = 14;
/// Length of OS/2's first header, which has shorter numbers than later ones, and palettes of three bytes per
/// colour.
const CORE_HEADER: usize = 12;
const HEADERS: [usize; 6] = [40, 52, 56, 64, 108, 124];
const MOST_COLOURS: usize = 256;

/// Masks of red, green, blue and alpha of a 32-bit pixel, and the byte positions of red, green and blue.
const MASKS_OF_32_BITS: [([u32; 4], [usize; 3]); 8] = [
    ([0xFF_0000, 0xFF00, 0xFF, 0], [2, 1, 0]),
    ([0xFF00_0000, 0xFF_0000, 0xFF00, 0], [3, 2, 1]),
    ([0xFF00_0000, 0xFF00, 0xFF, 0], [3, 1, 0]),
    ([0xFF00_0000, 0xFF_0000, 0xFF00, 0xFF], [3, 2, 1]),
    ([0xFF, 0xFF00, 0xFF_0000, 0xFF00_0000], [0, 1, 2]),
    ([0xFF_0000, 0xFF00, 0xFF, 0xFF00_0000], [2, 1, 0]),
    ([0xFF00_0000, 0xFF00, 0xFF, 0xFF_0000], [3, 1, 0]),
    ([0, 0, 0, 0], [2, 1, 0]),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Runs8,
    Runs4,
    Masks,
}

/// The second header, converted to one form.
pub(super) struct Info {
    length: usize,
    pub width: u32,
    pub height: u32,
    pub is_top_down: bool,
    pub bits: u16,
    compression: Compression,
    colours: usize,
    bytes_per_colour: usize,
    /// Masks of red, green, blue and alpha.
    masks: [u32; 4],
    /// Offset of the end of header and masks.
    end: usize,
}

impl Info {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ImageSkip> {
        let length = long(bytes, FILE_HEADER)? as usize;
        let end = FILE_HEADER + length;
        if length != CORE_HEADER && !HEADERS.contains(&length) {
            return Err(unsupported(&format!("a BMP with a header of {length} bytes")));
        }
        if length == CORE_HEADER {
            let (width, height, bits) =
                (short(bytes, 18)?.into(), short(bytes, 20)?.into(), short(bytes, 24)?);
            let (compression, masks) = (Compression::None, [0; 4]);
            let (is_top_down, colours) = (false, 1 << bits.min(31));
            return Ok(Self {
                length,
                width,
                height,
                is_top_down,
                bits,
                compression,
                colours,
                bytes_per_colour: 3,
                masks,
                end,
            });
        }
        let (bits, height) = (short(bytes, 28)?, long(bytes, 22)?);
        // As in Pillow: the highest byte decides whether the height is negative, which is wrong only for
        // impossible heights.
        let is_top_down = height >> 24 == 0xFF;
        let compression = compression(long(bytes, 30)?)?;
        let (masks, end) =
            if compression == Compression::Masks { masks(bytes, length)? } else { ([0; 4], end) };
        let colours = match long(bytes, 46)? as usize {
            0 => 1 << bits.min(31),
            colours => colours,
        };
        let height = if is_top_down { height.wrapping_neg() } else { height };
        let width = long(bytes, 18)?;
        Ok(Self {
            length,
            width,
            height,
            is_top_down,
            bits,
            compression,
            colours,
            bytes_per_colour: 4,
            masks,
            end,
        })
    }

    /// Offset of the pixels.
    pub(super) fn pixels_at(&self, bytes: &[u8]) -> Result<usize, ImageSkip> {
        let palette = self.bytes_per_colour.saturating_mul(self.colours);
        let at = long(bytes, 10)? as usize;
        Ok(match at {
            // The header has no offset: the pixels follow directly.
            0 if self.bits <= 8 => self.end.saturating_add(palette),
            0 => self.end,
            at if at == FILE_HEADER + self.length && self.bits <= 8 => at.saturating_add(palette),
            at => at,
        })
    }

    pub(super) fn pixels(&self, bytes: &[u8]) -> Result<Pixels, ImageSkip> {
        let rgb_mask = [self.masks[0], self.masks[1], self.masks[2]];
        let in_bytes = |length, rgb| Ok(Pixels::Bytes { length, rgb });
        match (self.bits, self.compression) {
            (1 | 4 | 8, Compression::None) => self.samples(bytes),
            (1 | 4 | 8, Compression::Runs8 | Compression::Runs4) => self.runs(bytes),
            (16, Compression::None) => Ok(Pixels::Short { green_bits: 5 }),
            (24, Compression::None) => in_bytes(3, [2, 1, 0]),
            (32, Compression::None) => in_bytes(4, [2, 1, 0]),
            (16, Compression::Masks) if rgb_mask == [0xF800, 0x7E0, 0x1F] => {
                Ok(Pixels::Short { green_bits: 6 })
            }
            (16, Compression::Masks) if rgb_mask == [0x7C00, 0x3E0, 0x1F] => {
                Ok(Pixels::Short { green_bits: 5 })
            }
            (24, Compression::Masks) if rgb_mask == [0xFF_0000, 0xFF00, 0xFF] => in_bytes(3, [2, 1, 0]),
            (32, Compression::Masks) => match MASKS_OF_32_BITS.iter().find(|(masks, _)| *masks == self.masks)
            {
                Some((_, rgb)) => in_bytes(4, *rgb),
                None => Err(unsupported("a BMP with other masks of its channels than Pillow knows")),
            },
            (16 | 24, Compression::Masks) => {
                Err(unsupported("a BMP with other masks of its channels than Pillow knows"))
            }
            (bits, compression) => {
                let how = if compression == Compression::None { "" } else { ", compressed" };
                Err(unsupported(&format!("a BMP of {bits} bits a pixel{how}")))
            }
        }
    }

    fn samples(&self, bytes: &[u8]) -> Result<Pixels, ImageSkip> {
        let packed = if self.bits == 8 { Depth::Byte } else { Depth::Packed(self.bits.into()) };
        let grey = Colours::Grey { is_inverted: false };
        let (depth, colours) = match self.palette(bytes)? {
            // Pillow uses one bit per pixel for a palette of two greys and a byte per pixel for a longer one,
            // independent of the header's bits.
            Palette::Greys { is_black_and_white: true } => (Depth::Packed(1), grey),
            Palette::Greys { is_black_and_white: false } => (Depth::Byte, grey),
            Palette::Colours(colours) => (packed, Colours::Palette(colours)),
        };
        Ok(Pixels::Samples(Layout { depth, samples_per_pixel: 1, colours }))
    }

    fn runs(&self, bytes: &[u8]) -> Result<Pixels, ImageSkip> {
        let mut colours: [_; MOST_COLOURS] = std::array::from_fn(|index| [index as u8; 3]);
        match self.palette(bytes)? {
            Palette::Greys { is_black_and_white: false } => {}
            // An index other than 0 is white.
            Palette::Greys { is_black_and_white: true } => {
                return Err(unsupported("a run-length BMP in black and white"));
            }
            Palette::Colours(palette) => {
                colours = [[0; 3]; MOST_COLOURS];
                colours[..palette.len()].copy_from_slice(&palette);
            }
        }
        Ok(Pixels::Runs { is_4_bit: self.compression == Compression::Runs4, colours: Box::new(colours) })
    }

    fn palette(&self, bytes: &[u8]) -> Result<Palette, ImageSkip> {
        if self.colours > 1 << 16 {
            return Err(unsupported(&format!("a BMP with a palette of {} colours", self.colours)));
        }
        let palette = bytes.get(self.end..).unwrap_or_default();
        let palette = &palette[..palette.len().min(self.bytes_per_colour * self.colours)];
        let colours =
            palette.chunks_exact(self.bytes_per_colour).map(|colour| [colour[2], colour[1], colour[0]]);
        let colours: Vec<[u8; 3]> = colours.collect();
        let greys = |index: usize| if self.colours == 2 { (index * 255) as u8 } else { index as u8 };
        let is_ramp = colours.len() == self.colours
            && colours.len() <= MOST_COLOURS
            && colours.iter().enumerate().all(|(index, colour)| *colour == [greys(index); 3]);
        if is_ramp {
            Ok(Palette::Greys { is_black_and_white: self.colours <= 2 })
        } else if colours.len() > MOST_COLOURS {
            Err(unsupported(&format!("a BMP with a palette of {} colours", self.colours)))
        } else {
            Ok(Palette::Colours(colours))
        }
    }
}

enum Palette {
    /// Each colour is the grey of its index, or 0 is black and 1 is white.
    Greys {
        is_black_and_white: bool,
    },
    Colours(Vec<[u8; 3]>),
}

fn compression(number: u32) -> Result<Compression, ImageSkip> {
    match number {
        0 => Ok(Compression::None),
        1 => Ok(Compression::Runs8),
        2 => Ok(Compression::Runs4),
        3 => Ok(Compression::Masks),
        other => Err(unsupported(&format!("a BMP of compression {other}"))),
    }
}

/// The masks, and the offset of their end or the header's end.
fn masks(bytes: &[u8], length: usize) -> Result<([u32; 4], usize), ImageSkip> {
    let at = FILE_HEADER + 40;
    let alpha = if length >= 56 { long(bytes, at + 12)? } else { 0 };
    let masks = [long(bytes, at)?, long(bytes, at + 4)?, long(bytes, at + 8)?, alpha];
    // After the shortest header; inside the longer ones.
    Ok((masks, FILE_HEADER + length.max(52)))
}

fn short(bytes: &[u8], at: usize) -> Result<u16, ImageSkip> {
    let pair = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(truncated)?;
    Ok(u16::from_le_bytes(*pair))
}

fn long(bytes: &[u8], at: usize) -> Result<u32, ImageSkip> {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(truncated)?;
    Ok(u32::from_le_bytes(*four))
}

fn truncated() -> ImageSkip {
    ImageSkip::Undecodable("the file is truncated".to_owned())
}

pub(super) fn unsupported(what: &str) -> ImageSkip {
    ImageSkip::Unsupported(what.to_owned())
}
