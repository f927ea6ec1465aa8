//! First frame of a GIF, on its screen.
//!
//! Blocks and interlacing are decoded here and the codes by the crate `weezl`: the crate `gif` refuses some
//! valid interlaced images that are narrow.

use super::lzw::Lzw;
use super::{ImageLimits, ImageSkip, Picture, RgbImage};
use std::borrow::Cow;
use std::io::{ErrorKind, Read as _};
use weezl::{BitOrder, decode::Configuration};

const EXTENSION: u8 = b'!';
const IMAGE: u8 = b',';
const TRAILER: u8 = b';';
const GRAPHIC_CONTROL: u8 = 0xF9;
const HAS_PALETTE: u8 = 0x80;
const IS_INTERLACED: u8 = 0x40;
/// Bits of the largest index.
const MOST_SYMBOL_BITS: u8 = 8;
/// First row and row step of each pass of an interlaced frame.
const PASSES: [(usize, usize); 4] = [(0, 8), (4, 8), (2, 4), (1, 2)];

pub(super) struct Gif<'a> {
    width: u32,
    height: u32,
    frame: Frame<'a>,
    /// Colour around the frame: the transparent one, or else colour 0.
    around: u8,
    /// Without a palette, an index is a grey value.
    palette: Option<&'a [u8]>,
}

struct Frame<'a> {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    is_interlaced: bool,
    /// Bits of a colour index.
    symbol_bits: u8,
    /// The codes in their blocks, and everything after them.
    codes: Bytes<'a>,
}

impl<'a> Gif<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageSkip> {
        let mut bytes = Bytes(&bytes[6..]);
        let (width, height) = (bytes.short()?, bytes.short()?);
        let [flags, _, _] = bytes.array()?;
        let global = bytes.palette(flags)?;
        let mut transparent = None;
        loop {
            match bytes.array()? {
                [EXTENSION] => {
                    let [kind] = bytes.array()?;
                    let first = bytes.block()?;
                    if let (GRAPHIC_CONTROL, [flags, _, _, colour, ..]) = (kind, first) {
                        // A later control block without a transparent colour does not reset the colour of an
                        // earlier one.
                        transparent = if flags & 1 == 1 { Some(*colour) } else { transparent };
                    }
                    let mut block = first;
                    while !block.is_empty() {
                        block = bytes.block()?;
                    }
                }
                [IMAGE] => {
                    let (frame, local) = Frame::open(&mut bytes)?;
                    let is_needed = |palette: &&[u8]| !is_grey_ramp(palette);
                    return Ok(Self {
                        // A frame that exceeds the screen enlarges it.
                        width: width.max(frame.left + frame.width),
                        height: height.max(frame.top + frame.height),
                        frame,
                        around: transparent.unwrap_or(0),
                        palette: local.filter(is_needed).or(global.filter(is_needed)),
                    });
                }
                [TRAILER] => return Err(undecodable("a GIF without a frame")),
                // Pillow skips unknown bytes.
                _ => {}
            }
        }
    }
}

impl<'a> Frame<'a> {
    fn open(bytes: &mut Bytes<'a>) -> Result<(Self, Option<&'a [u8]>), ImageSkip> {
        let [left, top, width, height] = [bytes.short()?, bytes.short()?, bytes.short()?, bytes.short()?];
        let [flags] = bytes.array()?;
        let palette = bytes.palette(flags)?;
        let [symbol_bits] = bytes.array()?;
        if width == 0 || height == 0 {
            return Err(undecodable("its first frame has no pixels"));
        }
        if symbol_bits > MOST_SYMBOL_BITS {
            return Err(undecodable("its codes are for indices of more than a byte"));
        }
        let is_interlaced = flags & IS_INTERLACED != 0;
        Ok((Self { left, top, width, height, is_interlaced, symbol_bits, codes: Bytes(bytes.0) }, palette))
    }

    /// Decodes the indices of the frame into its position on a canvas with rows of `width` pixels.
    fn decode(&self, canvas: &mut [u8], width: usize) -> Result<(), ImageSkip> {
        let form = Configuration::new(BitOrder::Lsb, self.symbol_bits);
        let mut codes = Vec::with_capacity(self.codes.blocks().map(<[u8]>::len).sum());
        self.codes.blocks().for_each(|block| codes.extend_from_slice(block));
        let mut indices = Lzw::new(Cow::Owned(codes), form);
        let (left, top) = (self.left as usize, self.top as usize);
        for row in self.rows() {
            let to = &mut canvas[(top + row) * width + left..][..self.width as usize];
            indices.read_exact(to).map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => {
                    undecodable("the file is truncated, or has fewer pixels than it says")
                }
                _ => undecodable(&error.to_string()),
            })?;
        }
        Ok(())
    }

    /// The rows in stored order.
    fn rows(&self) -> Vec<usize> {
        let height = self.height as usize;
        if !self.is_interlaced {
            return (0..height).collect();
        }
        PASSES.iter().flat_map(|(first, step)| (*first..height).step_by(*step)).collect()
    }
}

impl Picture for Gif<'_> {
    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn peak_bytes(&self, _: &ImageLimits) -> u64 {
        // Indices and RGB; the codes without their blocks; the number of each row.
        4 * u64::from(self.width) * u64::from(self.height)
            + self.frame.codes.blocks().map(<[u8]>::len).sum::<usize>() as u64
            + 8 * u64::from(self.frame.height)
            + (1 << 20)
    }

    fn decode(&self, _: &ImageLimits) -> Result<RgbImage, ImageSkip> {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut canvas = vec![self.around; width * height];
        self.frame.decode(&mut canvas, width)?;
        let mut colours: [[u8; 3]; 256] = std::array::from_fn(|index| [index as u8; 3]);
        if let Some(palette) = self.palette {
            let palette = palette.as_chunks().0;
            colours[..palette.len()].copy_from_slice(palette);
            colours[palette.len()..].fill([0; 3]);
        }
        let pixels_u8 = canvas.iter().flat_map(|index| colours[usize::from(*index)]).collect();
        Ok(RgbImage::new(self.width, self.height, pixels_u8))
    }
}

/// Whether each colour is the grey of its index. Pillow converts such images as grey, so an index beyond the
/// palette is a grey too.
fn is_grey_ramp(palette: &[u8]) -> bool {
    palette.as_chunks::<3>().0.iter().enumerate().all(|(index, colour)| *colour == [index as u8; 3])
}

/// The unread rest of the file.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(&mut self, length: usize) -> Result<&'a [u8], ImageSkip> {
        let (slice, rest) =
            self.0.split_at_checked(length).ok_or_else(|| undecodable("the file is truncated"))?;
        self.0 = rest;
        Ok(slice)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImageSkip> {
        self.slice(N)?.try_into().map_err(|_| undecodable("the file is truncated"))
    }

    fn short(&mut self) -> Result<u32, ImageSkip> {
        Ok(u32::from(u16::from_le_bytes(self.array()?)))
    }

    fn palette(&mut self, flags: u8) -> Result<Option<&'a [u8]>, ImageSkip> {
        if flags & HAS_PALETTE == 0 { Ok(None) } else { self.slice(6 << (flags & 7)).map(Some) }
    }

    /// One data block. The last one is empty.
    fn block(&mut self) -> Result<&'a [u8], ImageSkip> {
        let [length] = self.array()?;
        self.slice(usize::from(length))
    }

    /// Data of all blocks up to the empty one, as far as the file has them.
    fn blocks(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first()?;
            let block = &after[..after.len().min(usize::from(*length))];
            rest = &after[block.len()..];
            (*length > 0).then_some(block)
        })
    }
}

fn undecodable(what: &str) -> ImageSkip {
    ImageSkip::Undecodable(what.to_owned())
}
