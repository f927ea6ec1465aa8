//! Headers that claim a vast image, for all formats.

use std::io::Write as _;

/// Headers that claim `side` × `side` pixels, with almost no data.
pub fn vast_headers(side: u32) -> Vec<(&'static str, Vec<u8>)> {
    let short = side as u16;
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
    png.extend([side.to_be_bytes(), side.to_be_bytes()].concat());
    png.extend([8, 2, 0, 0, 0]);
    let checked = crc32(&png[12..]);
    png.extend(checked.to_be_bytes());
    png.extend(b"\0\0\0\x04IDAT\x78\x9c\x03\0\0\0\0\0");

    let mut jpeg = b"\xff\xd8\xff\xc0\x00\x11\x08".to_vec();
    jpeg.extend([short.to_be_bytes(), short.to_be_bytes()].concat());
    jpeg.extend(
        b"\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\
          \xff\xda\x00\x0c\x03\x01\x00\x02\x11\x03\x11\x00\x3f\x00\x00",
    );

    let mut gif = b"GIF89a".to_vec();
    gif.extend([short.to_le_bytes(), short.to_le_bytes()].concat());
    gif.extend(b"\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0");
    gif.extend([short.to_le_bytes(), short.to_le_bytes()].concat());
    gif.extend(b"\0\x02\x02\x44\x01\0\x3b");

    let mut bmp = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bmp.extend([side.to_le_bytes(), side.to_le_bytes()].concat());
    bmp.extend(b"\x01\0\x18\0");
    bmp.extend([0; 40]);

    let mut webp = b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f".to_vec();
    let packed = (side - 1).min(0x3fff) | (side - 1).min(0x3fff) << 14;
    webp.extend(packed.to_le_bytes());
    webp.extend([0; 20]);
    let mut extended = b"RIFF\x2e\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0".to_vec();
    extended.extend_from_slice(&(side - 1).to_le_bytes()[..3]);
    extended.extend_from_slice(&(side - 1).to_le_bytes()[..3]);
    extended.extend(b"VP8L\x08\0\0\0\x2f\0\0\0\0\0\0\0");

    let files = vec![
        ("png", png),
        ("jpeg", jpeg),
        ("gif", gif),
        ("bmp", bmp),
        ("tiff", vast_tiff(side)),
        ("webp", extended),
    ];
    // Lossless WebP supports at most 16384 pixels per side.
    if side <= 16_384 { files.into_iter().chain([("webp, lossless", webp)]).collect() } else { files }
}

fn vast_tiff(side: u32) -> Vec<u8> {
    let entries: [(u16, u32); 8] =
        [(256, side), (257, side), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (279, 100)];
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    tiff.extend((entries.len() as u16).to_le_bytes());
    for (tag, value) in entries {
        tiff.write_all(&tag.to_le_bytes()).expect("a vector takes all");
        tiff.extend(b"\x04\0\x01\0\0\0");
        tiff.extend(value.to_le_bytes());
    }
    tiff.extend([0; 4]);
    tiff
}

/// Checksum of a PNG chunk.
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(
            crc ^ u32::from(byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}
