//! First page of a TIFF, decoded as in Pillow and libtiff.
//!
//! Directory, samples and predictor are decoded here, and strips are inflated by the crate of each
//! compression, because the crate `tiff` gives wrong pixels without an error for reversed bits, associated
//! alpha and 16-bit white-is-zero. An image that Pillow does not read, or reads as noise, is
//! [`ImageSkip::Unsupported`] with the reason.

mod compression;
mod directory;
mod faults;
mod meaning;

use super::{ImageLimits, ImageSkip, Picture, RgbImage, blank, orientation};
use compression::{Compression, Strip};
use directory::{Directory, tag};
use faults::undecodable;
use image::metadata::Orientation;
use meaning::Meaning;
use std::io::{self, ErrorKind, Read};

/// Largest width of a tile in pixels: one row of a tile is in memory.
const WIDEST_TILE: usize = 1 << 20;

pub(super) struct Tiff<'a> {
    width: u32,
    height: u32,
    orientation: Orientation,
    meaning: Meaning,
    compression: Compression,
    grid: Grid,
    /// Offset and length of each strip or tile, row by row, plane after plane.
    pieces: Vec<(u64, Option<u64>)>,
    tables: Option<&'a [u8]>,
    bytes: &'a [u8],
}

/// Grid of strips or tiles: a strip is a tile as wide as the image.
struct Grid {
    width: usize,
    height: usize,
    across: usize,
    down: usize,
}

impl<'a> Tiff<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageSkip> {
        let directory = Directory::read(bytes)?;
        let side = |tag: u16| {
            let side = directory.number(tag).and_then(|side| u32::try_from(side).ok());
            side.ok_or_else(|| undecodable("its size is missing"))
        };
        let (width, height) = (side(tag::WIDTH)?, side(tag::HEIGHT)?);
        let meaning = Meaning::of(&directory)?;
        let compression = Compression::of(&directory, &meaning)?;
        let (grid, offsets, lengths) = grid(&directory, width as usize, height as usize)?;
        let wanted = grid.across.saturating_mul(grid.down).saturating_mul(meaning.planes());
        let offsets = directory.numbers(offsets).unwrap_or_default();
        if offsets.len() < wanted {
            return Err(undecodable("it has fewer strips or tiles than its size takes"));
        }
        let lengths = directory.numbers(lengths).unwrap_or_default();
        let pieces = offsets.into_iter().enumerate().map(|(at, offset)| (offset, lengths.get(at).copied()));
        Ok(Self {
            width,
            height,
            orientation: orientation(&directory),
            pieces: pieces.take(wanted).collect(),
            meaning,
            compression,
            grid,
            tables: directory.bytes(tag::JPEG_TABLES),
            bytes,
        })
    }

    fn strip(
        &self,
        piece: usize,
        rows: usize,
        limits: &ImageLimits,
    ) -> Result<Box<dyn Read + 'a>, ImageSkip> {
        let (offset, length) = self.pieces[piece];
        let begin = usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..));
        let stored = begin.ok_or_else(|| undecodable("the file is truncated"))?;
        let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(stored.len());
        // Uncompressed data has the length of its rows; like Pillow, this ignores the directory's length.
        let is_said = self.compression != Compression::None;
        let stored = if is_said { &stored[..length.min(stored.len())] } else { stored };
        let strip = Strip {
            stored,
            is_reversed: self.meaning.is_reversed,
            tables: self.tables,
            is_ycc: self.meaning.is_ycc,
            samples: self.meaning.samples_in_a_plane(),
            width: self.grid.width,
            rows,
        };
        strip.open(self.compression, limits)
    }

    /// Decodes the tile in column `across` and row `down` of the grid into its position.
    fn tile(
        &self,
        across: usize,
        down: usize,
        limits: &ImageLimits,
        pixels_u8: &mut [u8],
    ) -> Result<(), ImageSkip> {
        let (width, (left, top)) = (self.width as usize, (across * self.grid.width, down * self.grid.height));
        let rows = self.grid.height.min(self.height as usize - top);
        let columns = self.grid.width.min(width - left);
        let first = down * self.grid.across + across;
        let piece = |plane: usize| first + plane * self.grid.across * self.grid.down;
        // Tiles have all their rows, also below the image's end.
        let stored_rows =
            if self.grid.across > 1 || self.grid.width != width { self.grid.height } else { rows };
        let planes = 0..self.meaning.planes();
        let mut planes = planes
            .map(|plane| self.strip(piece(plane), stored_rows, limits))
            .collect::<Result<Vec<_>, _>>()?;
        let (mut row, mut buffer) = (Vec::new(), Vec::new());
        for y in top..top + rows {
            self.row(&mut planes, &mut row)?;
            let rgb = &mut pixels_u8[3 * (y * width + left)..][..3 * columns];
            self.meaning.layout.to_rgb(&row, rgb, &mut buffer);
        }
        Ok(())
    }

    /// The next row of a tile, its planes interleaved.
    fn row(&self, planes: &mut [Box<dyn Read + 'a>], row: &mut Vec<u8>) -> Result<(), ImageSkip> {
        let width = self.grid.width;
        let sample_bytes = self.meaning.layout.bits_per_sample() / 8;
        row.resize(self.meaning.layout.row_bytes(width), 0);
        if let [only] = planes {
            only.read_exact(row).map_err(unreadable)?;
            self.compression.undo_prediction(&self.meaning, row);
            return Ok(());
        }
        let (stride, mut one) = (sample_bytes * planes.len(), vec![0; width * sample_bytes]);
        for (plane, reader) in planes.iter_mut().enumerate() {
            reader.read_exact(&mut one).map_err(unreadable)?;
            self.compression.undo_prediction(&self.meaning, &mut one);
            for (to, from) in row.chunks_exact_mut(stride).zip(one.chunks_exact(sample_bytes)) {
                to[plane * sample_bytes..][..sample_bytes].copy_from_slice(from);
            }
        }
        Ok(())
    }
}

impl Picture for Tiff<'_> {
    fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    fn peak_bytes(&self, _: &ImageLimits) -> u64 {
        let is_turned = self.orientation != Orientation::NoTransforms;
        let image = orientation::peak_bytes(self.width, self.height, is_turned);
        let samples = self.meaning.layout.samples_per_pixel as u64;
        let tile = (self.grid.width as u64).saturating_mul(self.grid.height as u64);
        let decoded = tile.saturating_mul(self.compression.bytes_per_sample_held() * samples);
        let row = 4 * self.meaning.layout.row_bytes(self.grid.width) as u64;
        let longest = self.pieces.iter().map(|(_, length)| length.unwrap_or(u64::MAX)).max().unwrap_or(0);
        let is_copied = self.meaning.is_reversed || self.compression == Compression::Jpeg;
        let stored =
            if is_copied { longest.min(self.bytes.len() as u64) * self.meaning.planes() as u64 } else { 0 };
        (image + row + stored + 16 * self.pieces.len() as u64 + (1 << 20)).saturating_add(decoded)
    }

    fn decode(&self, limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
        if self.compression.bytes_per_sample_held() > 0 {
            let size = (u32::try_from(self.grid.width), u32::try_from(self.grid.height));
            let (Ok(width), Ok(height)) = size else {
                return Err(undecodable("its tiles have an impossible size"));
            };
            limits.admit_part(width, height)?;
        }
        let mut pixels_u8 = blank(self.width, self.height);
        for (down, across) in
            (0..self.grid.down).flat_map(|down| (0..self.grid.across).map(move |across| (down, across)))
        {
            self.tile(across, down, limits, &mut pixels_u8)?;
        }
        // Pillow always rotates TIFF, other formats only on request, so the limits' `exif_rotation` does not
        // apply.
        Ok(orientation::by(RgbImage::new(self.width, self.height, pixels_u8), self.orientation))
    }
}

/// Grid of an image, and the tags of its offsets and lengths.
fn grid(directory: &Directory, width: usize, height: usize) -> Result<(Grid, u16, u16), ImageSkip> {
    let side =
        |tag: u16| directory.number(tag).and_then(|side| usize::try_from(side).ok()).filter(|side| *side > 0);
    if directory.number(tag::STRIP_OFFSETS).is_some() {
        let rows = side(tag::ROWS_PER_STRIP).unwrap_or(height).min(height.max(1));
        let grid = Grid { width, height: rows, across: 1, down: height.div_ceil(rows) };
        return Ok((grid, tag::STRIP_OFFSETS, tag::STRIP_LENGTHS));
    }
    let (Some(tile_width), Some(tile_height)) = (side(tag::TILE_WIDTH), side(tag::TILE_HEIGHT)) else {
        return Err(undecodable("it says of neither strips nor tiles where they are"));
    };
    if tile_width > WIDEST_TILE {
        return Err(ImageSkip::TooLarge(format!(
            "tiles of {tile_width} pixels across; at most {WIDEST_TILE} are read"
        )));
    }
    let (across, down) = (width.div_ceil(tile_width), height.div_ceil(tile_height));
    let grid = Grid { width: tile_width, height: tile_height, across, down };
    Ok((grid, tag::TILE_OFFSETS, tag::TILE_LENGTHS))
}

fn orientation(directory: &Directory) -> Orientation {
    let value = directory.number(tag::ORIENTATION).and_then(|value| u8::try_from(value).ok());
    value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

fn unreadable(error: io::Error) -> ImageSkip {
    match error.kind() {
        ErrorKind::UnexpectedEof => undecodable("the file is truncated, or has fewer pixels than it says"),
        _ => undecodable(&error.to_string()),
    }
}
