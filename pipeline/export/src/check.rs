//! Validation of images, most of them without decoding.
//!
//! A JPEG or PNG with a valid structure from the first byte to the end marker is accepted by its header, a
//! hundred times faster than by decoding. Other images are decoded. So every decodable image is accepted, and
//! an image that cannot be decoded is rejected with a reason.

use capfilt_pipeline::image::{ImageLimits, ImageSkip, decode};

/// Width and height of an image.
///
/// # Errors
/// The image cannot be decoded, or exceeds the default limits of jobs.
pub(crate) fn size_of(image: &[u8]) -> Result<(u32, u32), ImageSkip> {
    let limits = ImageLimits::default();
    let within = |(width, height): &(u32, u32)| {
        let pixels = u64::from(*width) * u64::from(*height);
        image.len() as u64 <= limits.bytes && (1..=limits.pixels).contains(&pixels)
    };
    match jpeg(image).or_else(|| png(image)).filter(within) {
        Some(size) => Ok(size),
        None => decode(image, &limits).map(|decoded| decoded.stored_size()),
    }
}

/// Size of a JPEG of the usual kind with a frame, a scan and an end marker.
fn jpeg(image: &[u8]) -> Option<(u32, u32)> {
    let mut rest = image.strip_prefix(&[0xFF, 0xD8])?;
    let mut size = None;
    loop {
        let marker = match rest {
            // Any number of fill bytes may precede a marker.
            [0xFF, 0xFF, ..] => {
                rest = &rest[1..];
                continue;
            }
            [0xFF, marker, ..] => *marker,
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
        let segment = rest.get(4..2 + length)?;
        match (marker, segment) {
            // Baseline, extended and progressive frames of 8 bits.
            (0xC0..=0xC2, [8, h1, h0, w1, w0, 1 | 3 | 4, ..]) if size.is_none() => {
                size = Some((
                    u32::from(u16::from_be_bytes([*w1, *w0])),
                    u32::from(u16::from_be_bytes([*h1, *h0])),
                ));
            }
            (0xDA, _) => return size.filter(|_| has_end(&rest[2 + length..])),
            // Tables, comments, application data; other markers need the decoder.
            (0xC4 | 0xDB | 0xDD | 0xE0..=0xEF | 0xFE, _) => {}
            _ => return None,
        }
        rest = &rest[2 + length..];
    }
}

/// Whether the scans end with an end marker. Within a scan, 0xFF is never followed by 0xD9.
fn has_end(scans: &[u8]) -> bool {
    scans.windows(2).rev().any(|pair| pair == [0xFF, 0xD9])
}

/// Size of a PNG whose chunks are all complete, with the right checksums.
fn png(image: &[u8]) -> Option<(u32, u32)> {
    let mut rest = image.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let mut size = None;
    let mut has_data = false;
    loop {
        let (length, after) = rest.split_first_chunk()?;
        let length = u32::from_be_bytes(*length) as usize;
        let (chunk, after) = after.split_at_checked(length.checked_add(4)?)?;
        let (checksum, after) = after.split_first_chunk()?;
        if crc32fast::hash(chunk) != u32::from_be_bytes(*checksum) {
            return None;
        }
        match chunk.split_first_chunk()? {
            (b"IHDR", [w3, w2, w1, w0, h3, h2, h1, h0, ..]) if size.is_none() => {
                size = Some((
                    u32::from_be_bytes([*w3, *w2, *w1, *w0]),
                    u32::from_be_bytes([*h3, *h2, *h1, *h0]),
                ));
            }
            (b"IDAT", _) => has_data = true,
            (b"IEND", _) => return size.filter(|_| has_data),
            _ => {}
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The structure of a JPEG of 5 × 3 pixels, without an image.
    fn jpeg_of_segments() -> Vec<u8> {
        let app = [0xFF, 0xE0, 0, 4, 0xFF, 0xD9]; // the end marker inside the thumbnail does not count
        let frame = [0xFF, 0xC0, 0, 11, 8, 0, 3, 0, 5, 1, 1, 0x11, 0];
        let scan = [0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0, 0x12, 0xFF, 0, 0x34];
        [&[0xFF, 0xD8], &app[..], &frame, &scan, &[0xFF, 0xD9]].concat()
    }

    fn png_of_a_pixel() -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::new(7, 2).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_whole_jpeg_or_png_is_taken_by_its_header_and_a_cut_one_is_not() {
        let (jpg, small) = (jpeg_of_segments(), png_of_a_pixel());
        assert_eq!(jpeg(&jpg), Some((5, 3)));
        assert_eq!(jpeg(&[&jpg[..], b"trailing"].concat()), Some((5, 3)));
        assert_eq!(png(&small), Some((7, 2)));
        for end in 0..jpg.len() {
            assert_eq!(jpeg(&jpg[..end]), None, "{end} bytes");
        }
        for end in 0..small.len() {
            assert_eq!(png(&small[..end]), None, "{end} bytes");
        }
        for at in 8..small.len() {
            let mut damaged = small.clone();
            damaged[at] ^= 4;
            assert_eq!(png(&damaged), None, "byte {at}");
        }
    }

    #[test]
    fn bytes_that_are_not_an_image_are_rejected_with_a_reason() {
        assert!(size_of(b"<html>gone</html>").unwrap_err().to_string().contains("HTML"));
        assert!(size_of(&jpeg_of_segments()[..30]).is_err());
        assert!(size_of(&png_of_a_pixel()[..45]).is_err());
    }
}
