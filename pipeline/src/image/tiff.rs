//! The first page of a TIFF.
//!
//! JPEG inside TIFF is decoded by another codec than JPEG files are: up to 2 levels from Pillow. What the decoder does
//! not know (Lab, float samples, old JPEG, one plane per colour) is [`ImageSkip::Unsupported`].

use std::io::Cursor;

use image::metadata::Orientation;
use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::samples::{cmyk_to_rgb, cut_off, grey_alpha_to_rgb, grey_to_rgb, high_bytes, palette_to_rgb, rgba_to_rgb};
use super::{ImageLimits, ImageSkip, RgbImage, turn};

type Tiff<'a> = Decoder<Cursor<&'a [u8]>>;

const PHOTOMETRIC: u16 = 262;
const PALETTE: u32 = 3;
const BLACK_IS_ZERO: u16 = 1;

pub(super) fn decode(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    let mut decoder = open(bytes, limits)?;
    let (width, height) = decoder.dimensions().map_err(skip)?;
    limits.admit(width, height)?;
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten().and_then(Orientation::from_exif);
    let pixels_u8 = if decoder.find_tag_unsigned::<u32>(Tag::PhotometricInterpretation).map_err(skip)? == Some(PALETTE)
    {
        read_palette(bytes, &mut decoder, limits)?
    } else {
        read(&mut decoder)?
    };
    if pixels_u8.len() != width as usize * height as usize * 3 {
        return Err(ImageSkip::Undecodable("the TIFF has fewer pixels than it says".to_owned()));
    }
    // Pillow turns TIFF by itself, whatever it does with the others, so this is not asked of the limits.
    Ok(turn::by(RgbImage::new(width, height, pixels_u8), orientation.unwrap_or(Orientation::NoTransforms)))
}

fn open<'a>(bytes: &'a [u8], limits: &ImageLimits) -> Result<Tiff<'a>, ImageSkip> {
    let mut allocations = Limits::default();
    // 16-bit CMYK is the widest pixel; the size is checked before it is used.
    allocations.decoding_buffer_size = limits.pixels.saturating_mul(8) as usize;
    allocations.intermediate_buffer_size = allocations.decoding_buffer_size;
    Ok(Decoder::new(Cursor::new(bytes)).map_err(skip)?.with_limits(allocations))
}

/// (height, width, samples) of any kind -> (height, width, 3)
fn read(decoder: &mut Tiff) -> Result<Vec<u8>, ImageSkip> {
    let colours = decoder.colortype().map_err(skip)?;
    let width = decoder.dimensions().map_err(skip)?.0 as usize;
    let planes = decoder.image_buffer_layout().map_err(skip)?.planes;
    if planes > 1 {
        return Err(ImageSkip::Unsupported("a TIFF with one plane per colour".to_owned()));
    }
    let samples = match decoder.read_image().map_err(skip)? {
        DecodingResult::U8(samples) => samples,
        DecodingResult::U16(samples) if colours == ColorType::Gray(16) => cut_off(&samples),
        DecodingResult::U16(samples) => high_bytes(&samples),
        _ => return Err(ImageSkip::Unsupported(format!("a TIFF with samples of kind {colours:?}"))),
    };
    Ok(match colours {
        ColorType::Gray(8 | 16) => grey_to_rgb(samples),
        ColorType::Gray(1) => grey_to_rgb(samples.chunks(width.div_ceil(8)).flat_map(|row| bits(row, width))),
        ColorType::GrayA(8 | 16) | ColorType::Multiband { bit_depth: 8, num_samples: 2 } => grey_alpha_to_rgb(&samples),
        ColorType::RGB(8 | 16) => samples,
        ColorType::RGBA(8 | 16) => rgba_to_rgb(&samples),
        ColorType::CMYK(8 | 16) => cmyk_to_rgb(&samples),
        other => return Err(ImageSkip::Unsupported(format!("a TIFF with colours of kind {other:?}"))),
    })
}

/// One row of packed bits, highest first, to black and white.
fn bits(row: &[u8], width: usize) -> impl Iterator<Item = u8> {
    row.iter().flat_map(|byte| (0..8).rev().map(move |bit| 255 * (byte >> bit & 1))).take(width)
}

/// The decoder refuses palettes, so it is shown a copy that says its indices are greys.
fn read_palette(bytes: &[u8], decoder: &mut Tiff, limits: &ImageLimits) -> Result<Vec<u8>, ImageSkip> {
    let map = decoder.get_tag_u16_vec(Tag::ColorMap).map_err(skip)?;
    let as_grey =
        with_greys(bytes).ok_or_else(|| ImageSkip::Unsupported("a TIFF palette of this layout".to_owned()))?;
    let mut decoder = open(&as_grey, limits)?;
    if decoder.colortype().map_err(skip)? != ColorType::Gray(8) {
        return Err(ImageSkip::Unsupported("a TIFF palette of other than 256 colours".to_owned()));
    }
    let DecodingResult::U8(indices) = decoder.read_image().map_err(skip)? else {
        return Err(ImageSkip::Unsupported("a TIFF palette of this layout".to_owned()));
    };
    // All reds, then all greens, then all blues, 16 bits each.
    let colours = map.len() / 3;
    let palette: Vec<u8> =
        (0..colours).flat_map(|index| [0, 1, 2].map(|channel| (map[channel * colours + index] >> 8) as u8)).collect();
    Ok(palette_to_rgb(&indices, &palette))
}

/// A copy of a classic TIFF whose first directory says "black is zero".
fn with_greys(bytes: &[u8]) -> Option<Vec<u8>> {
    let little = bytes.starts_with(b"II*");
    let short = |at: usize| {
        let pair: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let directory = if little {
        short(4)? as usize | (short(6)? as usize) << 16
    } else {
        (short(4)? as usize) << 16 | short(6)? as usize
    };
    let mut entries = (0..short(directory)? as usize).map(|index| directory + 2 + 12 * index);
    let value = entries.find(|&entry| short(entry) == Some(PHOTOMETRIC))? + 8;
    let mut copy = bytes.to_vec();
    copy.get_mut(value..value + 2)?.copy_from_slice(&if little {
        BLACK_IS_ZERO.to_le_bytes()
    } else {
        BLACK_IS_ZERO.to_be_bytes()
    });
    Some(copy)
}

fn skip(error: TiffError) -> ImageSkip {
    match error {
        TiffError::UnsupportedError(what) => ImageSkip::Unsupported(what.to_string()),
        other => ImageSkip::Undecodable(other.to_string()),
    }
}
