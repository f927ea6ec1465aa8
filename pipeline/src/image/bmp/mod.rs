//! BMP, decoded as in Pillow: headers of Windows and OS/2, palettes, run lengths, and the channel masks that
//! Pillow supports.
//!
//! The crate `image` differs: it shows black where a run-length BMP skips pixels (Pillow: colour 0), refuses
//! a data offset of 0, and expands bits by repetition where Pillow divides.

mod header;
mod run_lengths;

use super::{ImageLimits, ImageSkip, Picture, RgbImage, blank};
use header::{Info, Pixels, unsupported};

pub(super) struct Bmp<'a> {
    width: u32,
    height: u32,
    is_top_down: bool,
    pixels: Pixels,
    /// Bytes from one row to the next.
    stride: usize,
    /// The file, and the offset of its pixels.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bmp<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageSkip> {
        let info = Info::read(bytes)?;
        let Info { width, height, is_top_down, .. } = info;
        let stride = (width as usize * usize::from(info.bits)).div_ceil(32) * 4;
        let (pixels, at) = (info.pixels(bytes)?, info.pixels_at(bytes)?);
        if let Pixels::Samples(layout) = &pixels
            && layout.row_bytes(width as usize) > stride
        {
            return Err(unsupported("a BMP of 4 bits a pixel with a palette of greys"));
        }
        Ok(Self { width, height, is_top_down, pixels, stride, bytes, at })
    }

    /// Converts a stored row to RGB.
    fn to_rgb(&self, row: &[u8], rgb: &mut [u8], buffer: &mut Vec<u8>) {
        let to = rgb.as_chunks_mut::<3>().0.iter_mut();
        match &self.pixels {
            Pixels::Samples(layout) => layout.to_rgb(row, rgb, buffer),
            Pixels::Short { green_bits } => {
                to.zip(row.as_chunks().0)
                    .for_each(|(to, pair)| *to = short(u16::from_le_bytes(*pair), *green_bits));
            }
            Pixels::Bytes { length, rgb } => {
                to.zip(row.chunks_exact(*length)).for_each(|(to, pixel)| *to = rgb.map(|at| pixel[at]));
            }
            Pixels::Runs { colours, .. } => {
                to.zip(row).for_each(|(to, index)| *to = colours[usize::from(*index)]);
            }
        }
    }
}

impl Picture for Bmp<'_> {
    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn peak_bytes(&self, _: &ImageLimits) -> u64 {
        let indices = if matches!(self.pixels, Pixels::Runs { .. }) { 1 } else { 0 };
        u64::from(self.width) * u64::from(self.height) * (3 + indices) + (1 << 20)
    }

    fn decode(&self, _: &ImageLimits) -> Result<RgbImage, ImageSkip> {
        let (width, height) = (self.width as usize, self.height as usize);
        let runs = match &self.pixels {
            Pixels::Runs { is_4_bit, .. } => Some(
                run_lengths::decode(self.bytes, self.at, *is_4_bit, (width, height)).ok_or_else(too_few)?,
            ),
            _ => None,
        };
        let (stored, stride) = match &runs {
            Some(indices) => (indices.as_slice(), width),
            None => (self.bytes.get(self.at..).unwrap_or_default(), self.stride),
        };
        // The last row may lack its padding.
        let row_bytes = self.row_bytes();
        if stored.len() < stride * (height - 1) + row_bytes {
            return Err(too_few());
        }
        let (mut pixels_u8, mut buffer) = (blank(self.width, self.height), Vec::new());
        for (row, rgb) in pixels_u8.chunks_exact_mut(3 * width).enumerate() {
            let row = if self.is_top_down { row } else { height - 1 - row };
            self.to_rgb(&stored[row * stride..][..row_bytes], rgb, &mut buffer);
        }
        Ok(RgbImage::new(self.width, self.height, pixels_u8))
    }
}

impl Bmp<'_> {
    /// Length of a stored row without padding.
    fn row_bytes(&self) -> usize {
        let width = self.width as usize;
        match &self.pixels {
            Pixels::Samples(layout) => layout.row_bytes(width),
            Pixels::Short { .. } => 2 * width,
            Pixels::Bytes { length, .. } => length * width,
            Pixels::Runs { .. } => width,
        }
    }
}

/// Pillow scales few bits by division and drops the remainder.
fn short(pixel: u16, green_bits: u32) -> [u8; 3] {
    let channel = |shift: u32, bits: u32| {
        let highest = (1 << bits) - 1;
        ((u32::from(pixel) >> shift & highest) * 255 / highest) as u8
    };
    [channel(5 + green_bits, 5), channel(5, green_bits), channel(0, 5)]
}

fn too_few() -> ImageSkip {
    ImageSkip::Undecodable("the file is truncated, or has fewer pixels than it says".to_owned())
}
