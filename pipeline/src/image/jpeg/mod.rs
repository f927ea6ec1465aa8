//! JPEG decoding with MozJPEG, whose decoder is libjpeg-turbo's, as Pillow's: bit-identical on every file of
//! the tests.
//!
//! Measured on 82 JPEGs of scikit-image's photographs, decoding only, one core: MozJPEG in plain C 0.27 s,
//! with its assembler code (`make setup` installs `nasm` where it may) 0.14 s, Pillow 0.16 s, zune-jpeg 0.19
//! s. But zune-jpeg is up to 6 levels off, and on subsampled photographs only 81–95 % of the values are
//! right, so it cannot give Pillow's pixels. After this measurement the last two steps were moved here
//! ([`ycc`]), which saves a quarter of plain C's time.

mod frame;
mod ycc;

use std::io::{self, BufRead, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mozjpeg::decompress::DecompressStarted;
use mozjpeg::{ColorSpace, CompInfo, CompInfoExt as _, Decompress, Marker};

use super::samples::{grey_to_rgb, light};
use super::{ImageLimits, ImageSkip, Picture, RgbImage, orientation};
use frame::Frame;
use ycc::{Plane, Ycc};

/// Bytes before the TIFF structure in an EXIF segment.
const EXIF: &[u8] = b"Exif\0\0";

pub(super) struct Jpeg<'a> {
    bytes: &'a [u8],
    frame: Frame,
}

impl<'a> Jpeg<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, ImageSkip> {
        Ok(Self { bytes, frame: Frame::read(bytes)? })
    }
}

impl Picture for Jpeg<'_> {
    fn size(&self) -> (u32, u32) {
        (self.frame.width, self.frame.height)
    }

    fn peak_bytes(&self, limits: &ImageLimits) -> u64 {
        let (width, height) = self.size();
        self.frame.peak_bytes().max(orientation::peak_bytes(width, height, limits.exif_rotation))
    }

    fn decode(&self, limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
        self.frame.admit(limits)?;
        caught(|| read(self.bytes, limits))
    }
}

/// libjpeg reports an error by unwinding with a message.
pub(super) fn caught<T>(read: impl FnOnce() -> Result<T, ImageSkip>) -> Result<T, ImageSkip> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|thrown| match thrown.downcast::<String>() {
        Ok(message) => Err(skip(&message)),
        Err(panic) => resume_unwind(panic),
    })
}

/// libjpeg's errors have no kinds, only texts.
fn skip(message: &str) -> ImageSkip {
    let message = message.trim_start_matches("libjpeg fatal error: ");
    match message {
        "Input file read error" => ImageSkip::Undecodable("the file is truncated".to_owned()),
        // A marker that no JPEG has is damage; libjpeg calls it unsupported.
        _ if message.starts_with("Unsupported marker") => ImageSkip::Undecodable(message.to_owned()),
        _ if message.contains("nsupported") || message.contains("not implemented") => {
            ImageSkip::Unsupported(message.to_owned())
        }
        _ => ImageSkip::Undecodable(message.to_owned()),
    }
}

fn read(bytes: &[u8], limits: &ImageLimits) -> Result<RgbImage, ImageSkip> {
    let markers: &[Marker] = if limits.exif_rotation { &[Marker::APP(1)] } else { &[] };
    let mut header =
        Decompress::builder().with_markers(markers).from_reader(Whole(bytes)).map_err(undecodable)?;
    let (width, height) = (header.width() as u32, header.height() as u32);
    limits.admit(width, height)?;
    let exif = header.markers().find_map(|segment| segment.data.strip_prefix(EXIF).map(<[u8]>::to_vec));
    let stored = header.color_space();
    let wanted = match stored {
        ColorSpace::JCS_GRAYSCALE => ColorSpace::JCS_GRAYSCALE,
        ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK => ColorSpace::JCS_CMYK,
        ColorSpace::JCS_RGB | ColorSpace::JCS_YCbCr => ColorSpace::JCS_RGB,
        _ => {
            return Err(ImageSkip::Unsupported(format!(
                "a JPEG with {} components",
                header.components().len()
            )));
        }
    };
    let part = part(width.min(height), limits.reduced_side);
    header.scale((8 / part) as u8);
    let pixels_u8 = match planes(&header).filter(|_| part == 1) {
        Some(planes) => read_planes(header, planes).map_err(undecodable)?.to_rgb(),
        None => {
            let lines = header.to_colorspace(wanted).map_err(undecodable)?;
            if wanted == ColorSpace::JCS_CMYK { read_cmyk(lines) } else { read_lines(lines) }
                .map_err(undecodable)?
        }
    };
    let pixels_u8 = if wanted == ColorSpace::JCS_GRAYSCALE { grey_to_rgb(pixels_u8) } else { pixels_u8 };
    let reduced_from = (part > 1).then_some((width, height));
    let (width, height) = (width.div_ceil(part), height.div_ceil(part));
    let image = RgbImage { reduced_from, ..RgbImage::new(width, height, pixels_u8) };
    Ok(match exif {
        Some(exif) => orientation::by_exif(image, &exif),
        None => image,
    })
}

/// Samples of a JPEG inside another format: (height, width, samples).
pub(super) struct Lines {
    pub width: usize,
    pub height: usize,
    pub samples: usize,
    pub samples_u8: Vec<u8>,
}

/// Decodes such a JPEG. `is_ycc`: the samples are luma and chroma, independent of the markers, and are
/// converted to RGB. Other samples are not converted.
pub(super) fn lines(bytes: &[u8], is_ycc: bool, limits: &ImageLimits) -> Result<Lines, ImageSkip> {
    let frame = Frame::read(bytes)?;
    limits.admit_part(frame.width, frame.height)?;
    frame.admit(limits)?;
    caught(|| {
        let header = Decompress::builder().from_reader(Whole(bytes)).map_err(undecodable)?;
        let stored = header.color_space();
        let wanted = match stored {
            ColorSpace::JCS_YCbCr if is_ycc => ColorSpace::JCS_RGB,
            ColorSpace::JCS_GRAYSCALE => stored,
            ColorSpace::JCS_YCbCr | ColorSpace::JCS_RGB | ColorSpace::JCS_CMYK | ColorSpace::JCS_YCCK
                if !is_ycc =>
            {
                stored
            }
            _ => {
                return Err(ImageSkip::Unsupported(
                    "a JPEG whose colours are not those of the file around it".to_owned(),
                ));
            }
        };
        let (width, height, samples) = (header.width(), header.height(), header.components().len());
        let samples_u8 =
            read_lines(header.to_colorspace(wanted).map_err(undecodable)?).map_err(undecodable)?;
        Ok(Lines { width, height, samples, samples_u8 })
    })
}

fn read_lines<R: BufRead>(mut lines: DecompressStarted<R>) -> io::Result<Vec<u8>> {
    let samples = lines.read_scanlines()?;
    lines.finish()?;
    Ok(samples)
}

/// Reads row by row, so that CMYK and RGB of the whole image are not in memory at once.
fn read_cmyk<R: BufRead>(mut lines: DecompressStarted<R>) -> io::Result<Vec<u8>> {
    let mut row = vec![[0; 4]; lines.width()];
    let mut pixels_u8 = Vec::with_capacity(3 * lines.width() * lines.height());
    for _ in 0..lines.height() {
        lines.read_scanlines_into(&mut row)?;
        // Adobe stores inverted CMYK. Pillow treats every four-channel JPEG as Adobe's, with or without the
        // marker.
        let pixels = row.iter().flat_map(|[cyan, magenta, yellow, black]| {
            [cyan, magenta, yellow].map(|ink| light(255 - ink, 255 - black))
        });
        pixels_u8.extend(pixels);
    }
    lines.finish()?;
    Ok(pixels_u8)
}

/// Empty planes of a colour JPEG whose last steps are computed here: chroma of full size, of half width, or
/// of half width and height.
fn planes<R>(header: &Decompress<R>) -> Option<Ycc> {
    let [luma, blue, red] = header.components() else { return None };
    let factors = |one: &CompInfo| (one.h_samp_factor, one.v_samp_factor);
    let is_known = [(1, 1), (2, 1), (2, 2)].contains(&factors(luma))
        && factors(blue) == (1, 1)
        && factors(red) == (1, 1);
    if header.color_space() != ColorSpace::JCS_YCbCr || !is_known {
        return None;
    }
    let (width, height) = (header.width(), header.height());
    let (across, down) = (luma.h_samp_factor as usize, luma.v_samp_factor as usize);
    let chroma = (width.div_ceil(across), height.div_ceil(down));
    // libjpeg repeats chroma of narrower images instead of interpolating it.
    if across == 2 && chroma.0 <= 2 {
        return None;
    }
    let plane = |of: &CompInfo, (width, height): (usize, usize)| {
        // Rows are delivered in whole blocks.
        let rows = height.next_multiple_of(8 * of.v_samp_factor as usize);
        Plane { samples: Vec::with_capacity(rows * of.row_stride()), stride: of.row_stride(), width, height }
    };
    let (luma, blue, red) = (plane(luma, (width, height)), plane(blue, chroma), plane(red, chroma));
    Some(Ycc { luma, blue, red, half_across: across == 2, half_down: down == 2 })
}

fn read_planes<R: BufRead>(header: Decompress<R>, mut planes: Ycc) -> io::Result<Ycc> {
    let mut lines = header.raw()?;
    lines.read_raw_data(&mut [&mut planes.luma.samples, &mut planes.blue.samples, &mut planes.red.samples]);
    lines.finish()?;
    Ok(planes)
}

/// Divisor of the sides at which an image is decoded whose shorter side has `side` pixels: 1, 2, 4 or 8. The
/// reduced image still has at least four pixels per target pixel for the resizer.
fn part(side: u32, wanted: u32) -> u32 {
    let is_enough = |part: &u32| wanted > 0 && side / part >= 2 * wanted;
    [8, 4, 2].into_iter().find(is_enough).unwrap_or(1)
}

fn undecodable(error: io::Error) -> ImageSkip {
    ImageSkip::Undecodable(error.to_string())
}

/// Returns all bytes, then an error. libjpeg treats the end of its input as the end of the image and fills
/// the rest with grey.
struct Whole<'a>(&'a [u8]);

impl BufRead for Whole<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.is_empty() { Err(io::Error::other("the file is truncated")) } else { Ok(self.0) }
    }

    fn consume(&mut self, amount: usize) {
        self.0 = &self.0[amount..];
    }
}

impl Read for Whole<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.fill_buf()?.read(into)?;
        self.consume(length);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mozjpeg::Compress;

    /// A picture with edges everywhere, so that every neighbouring pixel counts.
    fn jpeg((width, height): (usize, usize), chroma: (u8, u8)) -> Vec<u8> {
        let mut file = Compress::new(ColorSpace::JCS_RGB);
        file.set_size(width, height);
        file.set_quality(95.0);
        file.set_chroma_sampling_pixel_sizes(chroma, chroma);
        let mut started = file.start_compress(Vec::new()).unwrap();
        let mut seed = (width * 1000 + height) as u32;
        let mut noise = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        started.write_scanlines(&(0..width * height * 3).map(|_| noise()).collect::<Vec<u8>>()).unwrap();
        started.finish().unwrap()
    }

    #[test]
    fn the_last_steps_equal_libjpegs_bit_by_bit_for_any_size_and_sampling() {
        let limits = ImageLimits::default();
        for chroma in [(1, 1), (2, 1), (2, 2), (1, 2)] {
            for size in
                [(1, 1), (4, 9), (5, 3), (6, 1), (16, 16), (17, 33), (31, 8), (64, 31), (65, 47), (130, 18)]
            {
                let bytes = jpeg(size, chroma);
                let header = Decompress::new_mem(&bytes).unwrap();
                let is_ours = planes(&header).is_some();
                assert_eq!(is_ours, chroma != (1, 2) && (chroma.0 == 1 || size.0 > 4), "{size:?} {chroma:?}");
                let libjpegs: Vec<u8> = header.rgb().unwrap().read_scanlines().unwrap();
                let ours = Jpeg::open(&bytes).unwrap().decode(&limits).unwrap();
                assert!(ours.pixels_u8 == libjpegs, "{size:?}, chroma {chroma:?}");
            }
        }
    }
}
