//! PNG decoding: the crate `png` inflates and unfilters the rows; chunks and colours are decoded here.
//!
//! The crate reads only IHDR and the run of IDAT chunks, so that profiles and texts are not inflated, and
//! damage outside the pixels does not matter. Pixels are converted row by row, which takes 3 bytes per pixel
//! at any depth.

use super::pieces::Pieces;
use super::samples::{ByteOrder, Colours, Depth, Layout, Number};
use super::{ImageLimits, ImageSkip, Picture, RgbImage, blank, orientation};
use png::{Decoder, DecodingError, Reader};
use std::io::{self, Read as _};

/// Length of the signature and the chunk IHDR, in bytes.
const HEAD: usize = 8 + 12 + 13;
const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";

/// First column, first row, column step and row step of each pass of an interlaced PNG.
const PASSES: [[usize; 4]; 7] =
    [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

pub(super) struct Png<'a> {
    head: &'a [u8],
    /// The run of IDAT chunks with their lengths, names and checksums.
    data: &'a [u8],
    /// Whether the file ends inside the run.
    is_cut: bool,
    /// Whether the checksum of one of its chunks is wrong. Pillow does not verify these checksums, so zlib's
    /// checksum decides.
    is_doubtful: bool,
    layout: Layout,
    exif: Option<&'a [u8]>,
}

impl<'a> Png<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageSkip> {
        let head = bytes.get(..HEAD).filter(|head| head[12..16] == *b"IHDR" && head[8..12] == [0, 0, 0, 13]);
        let head = head.ok_or_else(|| undecodable("the chunk IHDR is missing"))?;
        let (mut palette, mut exif, mut data) = (None, None, None);
        let (mut is_cut, mut is_doubtful) = (false, false);
        for chunk in (Chunks { bytes, at: 8 }) {
            match chunk.name {
                b"IHDR" | b"PLTE" | b"fcTL" if data.is_none() && !chunk.is_whole() => {
                    return Err(undecodable("the checksum of a chunk before the pixels is wrong"));
                }
                b"PLTE" if data.is_none() => {
                    palette = Some(chunk.data.as_chunks().0.iter().copied().take(256).collect())
                }
                b"fcTL" if data.is_none() && !is_whole_frame(chunk.data, head) => {
                    return Err(ImageSkip::Unsupported(
                        "an animated PNG whose first frame is a part of it".to_owned(),
                    ));
                }
                b"eXIf" => exif = Some(chunk.data),
                b"IDAT" => {
                    let (begin, end) = data.unwrap_or((chunk.begin, chunk.begin));
                    // Only the first run of IDAT chunks is the image.
                    if chunk.begin == end {
                        data = Some((begin, chunk.end));
                        is_cut = chunk.sum.is_none();
                        is_doubtful |= !chunk.is_whole();
                    }
                }
                _ => {}
            }
        }
        let (begin, end) = data.ok_or_else(|| undecodable("there is no chunk IDAT"))?;
        Ok(Self { head, data: &bytes[begin..end], is_cut, is_doubtful, layout: layout(head, palette)?, exif })
    }

    fn reader(&self) -> Result<Reader<Pieces<'a>>, ImageSkip> {
        let mut decoder =
            Decoder::new(Pieces::new(vec![self.head, self.data, if self.is_cut { &[] } else { END }]));
        decoder.ignore_checksums(true);
        decoder.read_info().map_err(skip)
    }

    /// # Errors
    /// The pixels are damaged: zlib's checksum is wrong.
    fn check(&self) -> Result<(), ImageSkip> {
        let mut stored = Vec::with_capacity(self.data.len());
        Chunks { bytes: self.data, at: 0 }.for_each(|chunk| stored.extend_from_slice(chunk.data));
        // The limit is one byte above the expected length; the checksum follows the last byte.
        let mut inflated = flate2::read::ZlibDecoder::new(stored.as_slice()).take(self.inflated_bytes() + 1);
        match io::copy(&mut inflated, &mut io::sink()) {
            Ok(length) if length <= self.inflated_bytes() => Ok(()),
            _ => Err(undecodable("the pixels are damaged or truncated: their checksums are wrong")),
        }
    }

    /// Length of all rows, each with the byte of its filter.
    fn inflated_bytes(&self) -> u64 {
        let (width, height) = self.size();
        let rows = |width: usize, height: usize| (self.layout.row_bytes(width) as u64 + 1) * height as u64;
        let (width, height) = (width as usize, height as usize);
        if !self.is_interlaced() {
            return rows(width, height);
        }
        let part = |side: usize, first: usize, step: usize| side.saturating_sub(first).div_ceil(step);
        let pass = |[left, top, across, down]: [usize; 4]| match part(width, left, across) {
            0 => 0,
            columns => rows(columns, part(height, top, down)),
        };
        PASSES.into_iter().map(pass).sum()
    }

    fn is_interlaced(&self) -> bool {
        self.head[28] != 0
    }
}

impl Picture for Png<'_> {
    fn size(&self) -> (u32, u32) {
        let number = |at: usize| self.head[at..].first_chunk().map_or(0, |four| u32::from_be_bytes(*four));
        (number(16), number(20))
    }

    fn peak_bytes(&self, limits: &ImageLimits) -> u64 {
        let (width, height) = self.size();
        // The inflated, unfiltered and converted rows, and the inflater's window.
        let rows = 8 * self.layout.row_bytes(width as usize) as u64 + (1 << 20);
        let checked = if self.is_doubtful { self.data.len() as u64 } else { 0 };
        orientation::peak_bytes(width, height, limits.exif_rotation && self.exif.is_some()) + rows + checked
    }

    fn decode(&self, limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
        let (width, height) = self.size();
        if self.is_doubtful {
            self.check()?;
        }
        let mut reader = self.reader()?;
        let mut pixels_u8 = blank(width, height);
        if self.is_interlaced() {
            read_passes(&mut reader, &self.layout, width as usize, &mut pixels_u8)?;
        } else {
            read_rows(&mut reader, &self.layout, width as usize, &mut pixels_u8)?;
        }
        let image = RgbImage::new(width, height, pixels_u8);
        Ok(match self.exif.filter(|_| limits.exif_rotation) {
            Some(exif) => orientation::by_exif(image, exif),
            None => image,
        })
    }
}

fn read_rows(
    reader: &mut Reader<Pieces>,
    layout: &Layout,
    width: usize,
    pixels_u8: &mut [u8],
) -> Result<(), ImageSkip> {
    let (mut row, mut bytes) = (vec![0; layout.row_bytes(width)], Vec::new());
    for rgb in pixels_u8.chunks_exact_mut(3 * width) {
        if layout.is_rgb() {
            reader.read_row(rgb).map_err(skip)?;
        } else {
            reader.read_row(&mut row).map_err(skip)?;
            layout.to_rgb(&row, rgb, &mut bytes);
        }
    }
    Ok(())
}

fn read_passes(
    reader: &mut Reader<Pieces>,
    layout: &Layout,
    width: usize,
    pixels_u8: &mut [u8],
) -> Result<(), ImageSkip> {
    let (mut row, mut bytes, mut rgb) = (vec![0; layout.row_bytes(width)], Vec::new(), vec![0; 3 * width]);
    for [left, top, across, down] in PASSES {
        let columns = width.saturating_sub(left).div_ceil(across);
        if columns == 0 {
            continue;
        }
        let rgb = &mut rgb[..3 * columns];
        for to in pixels_u8.chunks_exact_mut(3 * width).skip(top).step_by(down) {
            reader.read_row(&mut row).map_err(skip)?;
            layout.to_rgb(&row[..layout.row_bytes(columns)], rgb, &mut bytes);
            let places = to.as_chunks_mut::<3>().0.iter_mut().skip(left).step_by(across);
            places.zip(rgb.as_chunks().0).for_each(|(to, pixel)| *to = *pixel);
        }
    }
    Ok(())
}

/// Layout that Pillow gives to a depth and a colour type.
fn layout(head: &[u8], palette: Option<Vec<[u8; 3]>>) -> Result<Layout, ImageSkip> {
    let (bits, kind) = (head[24], head[25]);
    let (samples_per_pixel, colours) = match kind {
        0 => (1, Colours::Grey { is_inverted: false }),
        2 => (3, Colours::Rgb),
        3 => {
            let palette =
                palette.ok_or_else(|| undecodable("the colours are indices, and there is no palette"))?;
            (1, Colours::Palette(palette))
        }
        4 => (2, Colours::Grey { is_inverted: false }),
        6 => (4, Colours::Rgb),
        _ => return Err(undecodable("PNG does not have its colour type")),
    };
    let depth = match (bits, kind) {
        (1 | 2 | 4, 0 | 3) => Depth::Packed(u32::from(bits)),
        (8, _) => Depth::Byte,
        (16, 0) => Depth::Clipped(Number::U16(ByteOrder::Big)),
        (16, 2 | 4 | 6) => Depth::High(ByteOrder::Big),
        _ => return Err(undecodable("PNG does not have its bit depth for its colour type")),
    };
    Ok(Layout { depth, samples_per_pixel, colours })
}

/// Whether a chunk fcTL describes a frame of the size in IHDR.
fn is_whole_frame(control: &[u8], head: &[u8]) -> bool {
    control.get(4..12) == Some(&head[16..24]) && control.get(12..20) == Some(&[0; 8])
}

struct Chunk<'a> {
    name: &'a [u8; 4],
    data: &'a [u8],
    /// The chunk's checksum; `None` if the file ends before it.
    sum: Option<u32>,
    begin: usize,
    end: usize,
}

impl Chunk<'_> {
    fn is_whole(&self) -> bool {
        let mut sum = crc32fast::Hasher::new();
        sum.update(self.name);
        sum.update(self.data);
        self.sum == Some(sum.finalize())
    }
}

/// The chunks from `at` to IEND or to the end of the bytes; the last one may be cut off.
struct Chunks<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let begin = self.at;
        let (length, rest) = self.bytes.get(begin..)?.split_first_chunk()?;
        let (name, rest) = rest.split_first_chunk()?;
        if name == b"IEND" {
            return None;
        }
        let length = u32::from_be_bytes(*length) as usize;
        let data = &rest[..length.min(rest.len())];
        let sum = rest.get(length..).and_then(<[u8]>::first_chunk).map(|sum| u32::from_be_bytes(*sum));
        self.at = self.bytes.len().min(begin + 12 + length);
        Some(Chunk { name, data, sum, begin, end: self.at })
    }
}

fn undecodable(what: &str) -> ImageSkip {
    ImageSkip::Undecodable(what.to_owned())
}

fn skip(error: DecodingError) -> ImageSkip {
    ImageSkip::Undecodable(error.to_string())
}
