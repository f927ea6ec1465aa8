//! WebP decoding: the crate `image-webp` decodes a stream of pixels; the container is decoded here.
//!
//! The crate reads the first image's stream as a separate file. Alpha is dropped after decoding, so its chunk
//! is not needed. The first frame of an animation is copied to a blank canvas, not blended, as in libwebp and
//! Pillow.

use super::pieces::Pieces;
use super::{ImageLimits, ImageSkip, Picture, RgbImage, blank, orientation};
use image_webp::{DecodingError, WebPDecoder};

const ANIMATED: u8 = 0x02;
/// Flag in the fourth size byte of a lossless stream: it has alpha.
const HAS_ALPHA: u8 = 0x10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Lossy,
    Lossless,
}

/// Position of the first image in the file.
#[derive(Debug)]
pub(super) struct WebP<'a> {
    canvas: (u32, u32),
    /// Position on the canvas, and size.
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    is_still: bool,
    coding: Coding,
    stream: &'a [u8],
    exif: Option<&'a [u8]>,
}

impl<'a> WebP<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageSkip> {
        let chunks = || Chunks(&bytes[12..]);
        let first = chunks().next().ok_or_else(|| undecodable("the file is truncated"))?;
        if first.name != *b"VP8X" {
            return Self::still(chunks(), None);
        }
        let Some([flags, _, _, _, w0, w1, w2, h0, h1, h2]) = first.data.first_chunk() else {
            return Err(undecodable("the chunk VP8X is too short"));
        };
        let canvas = (number(&[*w0, *w1, *w2]) + 1, number(&[*h0, *h1, *h2]) + 1);
        let exif = chunks().find(|chunk| chunk.name == *b"EXIF").map(|chunk| chunk.data);
        let image = if flags & ANIMATED == 0 {
            Self::still(chunks(), Some(canvas))?
        } else {
            let frame = chunks().find(|chunk| chunk.name == *b"ANMF");
            Self::frame(frame.ok_or_else(|| undecodable("an animation without a frame"))?.data, canvas)?
        };
        Ok(Self { exif, ..image })
    }

    /// An image of the size of its canvas.
    fn still(mut chunks: Chunks<'a>, canvas: Option<(u32, u32)>) -> Result<Self, ImageSkip> {
        let is_image = |chunk: &Chunk| [*b"VP8 ", *b"VP8L"].contains(&chunk.name);
        let chunk = chunks
            .find(is_image)
            .ok_or_else(|| undecodable("there is no image in it, or it is truncated"))?;
        let (coding, width, height) = stream(&chunk)?;
        let canvas = canvas.unwrap_or((width, height));
        Ok(Self {
            canvas,
            left: 0,
            top: 0,
            width,
            height,
            is_still: true,
            coding,
            stream: chunk.data,
            exif: None,
        })
    }

    fn frame(frame: &'a [u8], canvas: (u32, u32)) -> Result<Self, ImageSkip> {
        let Some((head, chunks)) = frame.split_first_chunk::<16>() else {
            return Err(undecodable("the first frame is truncated"));
        };
        let (left, top) = (2 * number(&head[..3]), 2 * number(&head[3..6]));
        let size = (number(&head[6..9]) + 1, number(&head[9..12]) + 1);
        let image = Self::still(Chunks(chunks), None)?;
        if image.canvas != size {
            return Err(undecodable("the first frame has another size than the file says"));
        }
        if left + size.0 > canvas.0 || top + size.1 > canvas.1 {
            return Err(undecodable("the first frame reaches past the canvas"));
        }
        Ok(Self { canvas, left, top, is_still: false, ..image })
    }

    /// File header for the stream as a separate file, and the rest of the stream.
    fn head(&self) -> Result<(Vec<u8>, &'a [u8]), ImageSkip> {
        let length = u32::try_from(self.stream.len()).map_err(|_| undecodable("the stream is too long"))?;
        let padded = length + length % 2;
        let mut head = [*b"RIFF", (padded + 12).to_le_bytes(), *b"WEBP"].concat();
        head.extend(if self.coding == Coding::Lossy { b"VP8 " } else { b"VP8L" });
        head.extend(length.to_le_bytes());
        if self.coding == Coding::Lossy {
            return Ok((head, self.stream));
        }
        // With "has alpha" the crate decodes to four bytes per pixel in place; without it, decoding takes
        // seven.
        let (size, rest) = self.stream.split_at(5);
        head.extend(&size[..4]);
        head.push(size[4] | HAS_ALPHA);
        Ok((head, rest))
    }

    fn decode_stream(&self) -> Result<Vec<u8>, ImageSkip> {
        let (head, rest) = self.head()?;
        let mut decoder = WebPDecoder::new(Pieces::new(vec![&head, rest])).map_err(skip)?;
        let samples = if self.coding == Coding::Lossy { 3 } else { 4 };
        let mut pixels_u8 = vec![0; self.width as usize * self.height as usize * samples];
        decoder.read_image(&mut pixels_u8).map_err(skip)?;
        if samples == 4 {
            drop_alpha(&mut pixels_u8);
        }
        Ok(pixels_u8)
    }
}

impl Picture for WebP<'_> {
    fn size(&self) -> (u32, u32) {
        self.canvas
    }

    fn peak_bytes(&self, limits: &ImageLimits) -> u64 {
        let (width, height) = self.canvas;
        let pixels = u64::from(self.width.next_multiple_of(16)) * u64::from(self.height.next_multiple_of(16));
        // Lossy: luma and chroma of half the sides, then RGB. Lossless: red, green, blue and alpha, and the
        // codes and transforms of small blocks. Plus the canvas, if the image is only a part of it.
        let stream = if self.coding == Coding::Lossy { pixels * 9 / 2 } else { pixels * 5 };
        let canvas =
            u64::from(width) * u64::from(height) * 3 + u64::from(self.width) * u64::from(self.height) * 3;
        let placed = if self.canvas == (self.width, self.height) { 0 } else { canvas };
        let turned = orientation::peak_bytes(width, height, limits.exif_rotation && self.exif.is_some());
        stream.max(placed).max(turned) + self.stream.len() as u64 + (1 << 20)
    }

    fn decode(&self, limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
        let (width, height) = self.canvas;
        if self.is_still && (self.width, self.height) != self.canvas {
            return Err(undecodable("the image has another size than the file says"));
        }
        limits.admit_part(self.width, self.height)?;
        let pixels_u8 = self.decode_stream()?;
        let image = if (self.width, self.height) == self.canvas {
            RgbImage::new(width, height, pixels_u8)
        } else {
            let mut canvas = blank(width, height);
            let rows = canvas.chunks_exact_mut(3 * width as usize).skip(self.top as usize);
            for (to, from) in rows.zip(pixels_u8.chunks_exact(3 * self.width as usize)) {
                to[3 * self.left as usize..][..from.len()].copy_from_slice(from);
            }
            RgbImage::new(width, height, canvas)
        };
        Ok(match self.exif.filter(|_| limits.exif_rotation) {
            Some(exif) => orientation::by_exif(image, exif.strip_prefix(b"Exif\0\0").unwrap_or(exif)),
            None => image,
        })
    }
}

/// (pixels, 4) -> (pixels, 3), in place.
fn drop_alpha(pixels_u8: &mut Vec<u8>) {
    let pixels = pixels_u8.len() / 4;
    for pixel in 1..pixels {
        pixels_u8.copy_within(4 * pixel..4 * pixel + 3, 3 * pixel);
    }
    pixels_u8.truncate(3 * pixels);
}

/// Coding of a stream, and its size in pixels.
fn stream(chunk: &Chunk) -> Result<(Coding, u32, u32), ImageSkip> {
    if chunk.is_cut {
        return Err(undecodable("the file is truncated"));
    }
    match (&chunk.name, chunk.data) {
        (b"VP8 ", [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..]) => {
            let side = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
            Ok((Coding::Lossy, side(*w0, *w1), side(*h0, *h1)))
        }
        (b"VP8L", [0x2f, sizes @ ..]) if sizes.len() >= 4 => {
            let sizes = number(&sizes[..4]);
            Ok((Coding::Lossless, (sizes & 0x3FFF) + 1, (sizes >> 14 & 0x3FFF) + 1))
        }
        _ => Err(undecodable("the beginning of its pixels is damaged")),
    }
}

/// Reads a little-endian number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

struct Chunk<'a> {
    name: [u8; 4],
    data: &'a [u8],
    /// Whether the file ends inside the chunk.
    is_cut: bool,
}

struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        let (name, rest) = self.0.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let data = &rest[..length.min(rest.len())];
        self.0 = rest.get(length.next_multiple_of(2)..).unwrap_or_default();
        Some(Chunk { name: *name, data, is_cut: data.len() < length })
    }
}

fn undecodable(what: &str) -> ImageSkip {
    ImageSkip::Undecodable(what.to_owned())
}

fn skip(error: DecodingError) -> ImageSkip {
    match error {
        DecodingError::UnsupportedFeature(what) => ImageSkip::Unsupported(what),
        other => ImageSkip::Undecodable(other.to_string()),
    }
}
