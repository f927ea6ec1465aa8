//! Compression of a TIFF's strips and tiles.

use super::super::lzw::Lzw;
use super::super::samples::{ByteOrder, Depth, Number};
use super::super::{ImageLimits, ImageSkip, jpeg};
use super::directory::{Directory, tag};
use super::faults::{undecodable, unsupported};
use super::meaning::Meaning;
use fax::Color;
use fax::decoder::{decode_g3, decode_g4, pels};
use std::borrow::Cow;
use std::io::{self, Cursor, Read};
use weezl::{BitOrder, decode::Configuration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Group3,
    Group4,
    Lzw { is_predicted: bool },
    Deflate { is_predicted: bool },
    Jpeg,
    PackBits,
}

impl Compression {
    pub(super) fn of(directory: &Directory, meaning: &Meaning) -> Result<Self, ImageSkip> {
        let compression = Self::declared(directory)?;
        let (depth, bits) = (meaning.layout.depth, meaning.layout.bits_per_sample());
        if meaning.is_ycc && (compression != Self::Jpeg || meaning.is_planar) {
            return Err(unsupported("of luma and chroma that is not JPEG"));
        }
        match compression {
            // libtiff returns numbers in this machine's byte order, and Pillow interprets them in the file's.
            Self::None => {}
            _ if matches!(
                depth,
                Depth::Clipped(Number::I16(order) | Number::I32(order) | Number::F32(order))
                    if order == ByteOrder::Big
            ) =>
            {
                return Err(unsupported("of compressed big-endian numbers that Pillow misreads"));
            }
            Self::Group3 | Self::Group4 if bits != 1 => {
                return Err(unsupported("of more than a bit in fax compression"));
            }
            Self::Jpeg if depth != Depth::Byte => {
                return Err(unsupported("of other samples than bytes in JPEG"));
            }
            _ => {}
        }
        let is_read = bits == 8 || bits == 16 && compression != Self::None;
        if meaning.is_planar && (!is_read || compression == Self::None && meaning.is_alpha_unsaid) {
            return Err(unsupported("of planes that Pillow misreads"));
        }
        Ok(compression)
    }

    fn declared(directory: &Directory) -> Result<Self, ImageSkip> {
        let is_predicted = match directory.number(tag::PREDICTOR).unwrap_or(1) {
            1 => false,
            2 => true,
            other => return Err(unsupported(&format!("with predictor {other}"))),
        };
        match directory.number(tag::COMPRESSION).unwrap_or(1) {
            1 => Ok(Self::None),
            3 if directory.number(tag::T4_OPTIONS).unwrap_or(0) & 1 == 0 => Ok(Self::Group3),
            4 => Ok(Self::Group4),
            5 => Ok(Self::Lzw { is_predicted }),
            7 => Ok(Self::Jpeg),
            8 | 32_946 => Ok(Self::Deflate { is_predicted }),
            32_773 => Ok(Self::PackBits),
            other => Err(unsupported(&format!("of compression {other}"))),
        }
    }

    /// Bytes in memory per sample of a tile that is not decompressed while it is read; for JPEG with the
    /// coefficients.
    pub(super) fn bytes_per_sample_held(self) -> u64 {
        match self {
            Self::Jpeg => 3,
            Self::Group3 | Self::Group4 => 1,
            _ => 0,
        }
    }

    /// Adds to each sample of a row the previous sample of the same channel.
    pub(super) fn undo_prediction(self, meaning: &Meaning, row: &mut [u8]) {
        let (Self::Lzw { is_predicted: true } | Self::Deflate { is_predicted: true }) = self else { return };
        let samples = meaning.samples_in_a_plane();
        match meaning.layout.bits_per_sample() {
            8 => (samples..row.len()).for_each(|at| row[at] = row[at].wrapping_add(row[at - samples])),
            16 => {
                let pairs = row.as_chunks_mut().0;
                for at in samples..pairs.len() {
                    let sum =
                        meaning.order.u16(pairs[at]).wrapping_add(meaning.order.u16(pairs[at - samples]));
                    pairs[at] =
                        if meaning.order == ByteOrder::Big { sum.to_be_bytes() } else { sum.to_le_bytes() };
                }
            }
            _ => {
                let fours = row.as_chunks_mut().0;
                for at in samples..fours.len() {
                    let sum =
                        meaning.order.u32(fours[at]).wrapping_add(meaning.order.u32(fours[at - samples]));
                    fours[at] =
                        if meaning.order == ByteOrder::Big { sum.to_be_bytes() } else { sum.to_le_bytes() };
                }
            }
        }
    }
}

/// A compressed strip or tile, or one plane of it.
pub(super) struct Strip<'a> {
    pub stored: &'a [u8],
    pub is_reversed: bool,
    pub tables: Option<&'a [u8]>,
    pub is_ycc: bool,
    pub samples: usize,
    pub width: usize,
    pub rows: usize,
}

impl<'a> Strip<'a> {
    /// Opens a reader of its rows.
    pub(super) fn open(
        self,
        how: Compression,
        limits: &ImageLimits,
    ) -> Result<Box<dyn Read + 'a>, ImageSkip> {
        if how == Compression::Jpeg {
            return Ok(Box::new(Cursor::new(self.jpeg(limits)?)));
        }
        let stored = match self.is_reversed {
            true => Cow::Owned(self.stored.iter().map(|byte| byte.reverse_bits()).collect()),
            false => Cow::Borrowed(self.stored),
        };
        Ok(match how {
            Compression::None | Compression::Jpeg => Box::new(Cursor::new(stored)),
            Compression::Group3 | Compression::Group4 => {
                Box::new(Cursor::new(fax(&stored, self.width, self.rows, how == Compression::Group3)?))
            }
            Compression::Lzw { .. } => Box::new(lzw(stored)?),
            Compression::Deflate { .. } => Box::new(flate2::read::ZlibDecoder::new(Cursor::new(stored))),
            Compression::PackBits => Box::new(PackBits { stored, at: 0, run: Run::default() }),
        })
    }

    fn jpeg(&self, limits: &ImageLimits) -> Result<Vec<u8>, ImageSkip> {
        // The tables are a JPEG without an image. The marker at their end and the one at the image's start
        // are left out.
        let image = match self.tables {
            Some([tables @ .., _, _]) => [tables, self.stored.get(2..).unwrap_or_default()].concat(),
            _ => self.stored.to_vec(),
        };
        let lines = jpeg::lines(&image, self.is_ycc, limits)?;
        if (lines.width, lines.samples) != (self.width, self.samples) || lines.height < self.rows {
            return Err(undecodable("the size of a JPEG in it is not that of its strip or tile"));
        }
        Ok(lines.samples_u8)
    }
}

/// Packed bits, where black is 1.
fn fax(stored: &[u8], width: usize, rows: usize, is_group3: bool) -> Result<Vec<u8>, ImageSkip> {
    let (Ok(wide), Ok(high)) = (u16::try_from(width), u16::try_from(rows)) else {
        return Err(unsupported("of such a size in fax compression"));
    };
    let row_bytes = width.div_ceil(8);
    let (mut packed, length) = (Vec::new(), rows * row_bytes);
    let add = |transitions: &[u16]| {
        let begin = packed.len();
        if begin == length {
            return;
        }
        packed.resize(begin + row_bytes, 0);
        let blacks =
            pels(transitions, wide).take(width).enumerate().filter(|(_, colour)| *colour == Color::Black);
        blacks.for_each(|(x, _)| packed[begin + x / 8] |= 0x80 >> (x % 8));
    };
    // Group 3 ends each row with a marker, which the last row may lack.
    let end: &[u8] = if is_group3 { &[0, 1] } else { &[] };
    let bytes = stored.iter().chain(end).copied();
    // Both decoders return an error without an end marker, so the number of rows decides whether the data is
    // complete.
    let _ = if is_group3 { decode_g3(bytes, add) } else { decode_g4(bytes, wide, Some(high), add) };
    if packed.len() < length { Err(undecodable("its fax codes are damaged")) } else { Ok(packed) }
}

fn lzw(stored: Cow<[u8]>) -> Result<Lzw, ImageSkip> {
    // Before TIFF 5.0 the bit order was reversed; the clear code shows which order it is.
    if let [0, second, ..] = *stored
        && second & 1 == 1
    {
        return Err(unsupported("of LZW compression in its old form"));
    }
    Ok(Lzw::new(stored, Configuration::with_tiff_size_switch(BitOrder::Msb, 8)))
}

struct PackBits<'a> {
    stored: Cow<'a, [u8]>,
    at: usize,
    run: Run,
}

/// Rest of a run.
#[derive(Default)]
struct Run {
    length: usize,
    /// The repeated byte; `None` for literal bytes.
    repeated: Option<u8>,
}

impl PackBits<'_> {
    /// Returns `None` at the end.
    fn next_run(&mut self) -> Option<Run> {
        loop {
            let head = *self.stored.get(self.at)? as i8;
            self.at += 1;
            match head {
                -128 => {}
                0.. => return Some(Run { length: head as usize + 1, repeated: None }),
                _ => {
                    let repeated = Some(*self.stored.get(self.at)?);
                    self.at += 1;
                    return Some(Run { length: usize::from(head.unsigned_abs()) + 1, repeated });
                }
            }
        }
    }
}

impl Read for PackBits<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.run.length == 0 {
            match self.next_run() {
                Some(run) => self.run = run,
                None => return Ok(0),
            }
        }
        let mut length = self.run.length.min(into.len());
        match self.run.repeated {
            Some(byte) => into[..length].fill(byte),
            None => {
                let stored = &self.stored[self.at..];
                length = length.min(stored.len());
                into[..length].copy_from_slice(&stored[..length]);
                self.at += length;
            }
        }
        self.run.length -= length;
        Ok(length)
    }
}
