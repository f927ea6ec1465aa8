//! No bytes can stop a worker: every image gets pixels, or a status and a reason.

#[path = "support/vast.rs"]
mod vast;

use capfilt_pipeline::image::{ImageLimits, ImageSkip, RgbImage, decode, peak_decoding_bytes};
use vast::{crc32, vast_headers};

/// A small picture in each format, so that every position of it can be damaged.
fn small_files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("jpeg", include_bytes!("small/baseline.jpg").to_vec()),
        ("jpeg, progressive", include_bytes!("small/progressive.jpg").to_vec()),
        ("jpeg, cmyk", include_bytes!("small/cmyk.jpg").to_vec()),
        ("png", include_bytes!("small/rgba.png").to_vec()),
        ("png, palette", include_bytes!("small/palette.png").to_vec()),
        ("gif", include_bytes!("small/palette.gif").to_vec()),
        ("bmp", include_bytes!("small/rgb.bmp").to_vec()),
        ("tiff", include_bytes!("small/lzw.tif").to_vec()),
        ("tiff, palette", include_bytes!("small/palette.tif").to_vec()),
        ("webp, lossy", include_bytes!("small/lossy.webp").to_vec()),
        ("webp, lossless", include_bytes!("small/lossless.webp").to_vec()),
    ]
}

fn outcome(bytes: &[u8]) -> Result<RgbImage, ImageSkip> {
    let outcome = decode(bytes, &ImageLimits::default());
    if let Ok(image) = &outcome {
        let length = image.width as usize * image.height as usize * 3;
        assert!(length > 0 && image.pixels_u8.len() == length, "an image has all its pixels");
    }
    outcome
}

#[test]
fn the_small_files_decode() {
    for (name, bytes) in small_files() {
        let image = outcome(&bytes).unwrap_or_else(|skip| panic!("{name}: {skip}"));
        assert_eq!((image.width, image.height), (24, 16), "{name}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_or_whole() {
    for (name, bytes) in small_files() {
        let whole = outcome(&bytes).expect("decodes");
        let mut refused = 0;
        for length in 0..bytes.len() {
            match outcome(&bytes[..length]) {
                Ok(image) => assert_eq!(image, whole, "{name} cut to {length} of {} bytes", bytes.len()),
                Err(_) => refused += 1,
            }
        }
        // The last 20 bytes of a PNG are checksums and the chunk IEND: a file cut there still has all pixels.
        let needed = bytes.len() - if name.ends_with("png") { 20 } else { 0 };
        assert!(refused * 10 > needed * 9, "{name}: {refused} of {needed} needed bytes");
    }
}

#[test]
fn damaged_bytes_never_panic() {
    let mut random = Random::printed();
    for (name, bytes) in small_files() {
        let mut refused = 0;
        for _ in 0..2000 {
            let mut damaged = bytes.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(damaged.len());
                damaged[at] = random.below(256) as u8;
            }
            refused += u32::from(outcome(&damaged).is_err());
        }
        println!("{name}: {refused} of 2000 refused");
    }
}

#[test]
fn noise_behind_a_right_beginning_never_panics() {
    let mut random = Random::printed();
    for (_, bytes) in small_files() {
        for _ in 0..200 {
            let kept = random.below(bytes.len().min(80));
            let noise = (0..400).map(|_| random.below(256) as u8);
            let _ = outcome(&bytes[..kept].iter().copied().chain(noise).collect::<Vec<u8>>());
        }
    }
}

#[test]
fn damaged_images_write_nothing_to_standard_error() {
    let mut command = std::process::Command::new(std::env::current_exe().expect("this test is a program"));
    command.args([
        "--exact",
        "--nocapture",
        "damaged_bytes_never_panic",
        "noise_behind_a_right_beginning_never_panics",
    ]);
    let output = command.output().expect("it runs again");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{stderr}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("2 passed"), "both have run");
}

#[test]
fn a_wrong_checksum_of_pixels_is_passed_over_only_where_zlibs_is_right() {
    let zlib = [zlib_stored(&[0, 1, 2, 3]), vec![0, 0x0e, 0, 7]].concat(); // Adler-32 of 0, 1, 2, 3
    let right = png_of(&[(b"IDAT", &zlib)], (1, 1), [8, 2]);
    let sum = right.len() - 12 - 4;
    let mut other_sum = right.clone();
    other_sum[sum] ^= 1;
    assert_eq!(outcome(&other_sum).map(|image| image.pixels_u8), Ok(vec![1, 2, 3]));
    let mut other_pixel = right;
    other_pixel[sum - 5] ^= 1;
    assert!(matches!(outcome(&other_pixel), Err(ImageSkip::Undecodable(_))));
}

#[test]
fn a_palette_of_61_bytes_is_read_as_20_colours() {
    let png = png_of(&[(b"PLTE", &[200; 61]), (b"IDAT", &zlib_stored(&[0, 19, 20]))], (2, 1), [8, 3]);
    assert_eq!(outcome(&png).map(|image| image.pixels_u8), Ok(vec![200, 200, 200, 0, 0, 0]));
}

#[test]
fn a_profile_or_text_that_inflates_to_gigabytes_is_not_inflated() {
    // Deflate's longest run, 258 zeros, takes a byte: a megabyte of these is a gigabyte.
    let bomb = [b"k\0\0\x78\x01".as_slice(), &vec![0x55; 4 << 20]].concat();
    let pixels = zlib_stored(&[0, 1, 2, 3]);
    for name in [b"iCCP", b"zTXt", b"iTXt"] {
        let image = outcome(&png_of(&[(name, &bomb), (b"IDAT", &pixels), (name, &bomb)], (1, 1), [8, 2]));
        assert_eq!(image.map(|image| image.pixels_u8), Ok(vec![1, 2, 3]));
    }
    let peak = peak_memory_bytes();
    assert!(peak < 1 << 30, "this process has used {peak} bytes at most");
}

#[test]
fn a_jpeg_of_more_scans_than_any_image_has_is_refused_before_its_pixels_are_decoded() {
    let progressive = include_bytes!("small/progressive.jpg");
    let scan = progressive.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).expect("it has scans");
    let (before, last) = progressive[..progressive.len() - 2].split_at(scan);
    let with = |scans: usize| [before, &last.repeat(scans), &[0xFF, 0xD9]].concat();
    let whole = outcome(&with(1)).expect("decodes");
    // Refining the same bits again changes only these bits: 400 scans are decoded, although they are useless.
    assert_eq!(outcome(&with(400)).map(|image| image.pixels_u8.len()), Ok(whole.pixels_u8.len()));
    match outcome(&with(600)) {
        Err(ImageSkip::TooLarge(reason)) => assert!(reason.contains("24 × 16 pixels in 6"), "{reason}"),
        other => panic!("{other:?}"),
    }
    // Scans × pixels is bounded too: an image of the largest allowed size may have 32 scans.
    let limits = ImageLimits { pixels: 24 * 16, ..ImageLimits::default() };
    assert!(decode(&with(2), &limits).is_ok());
    assert!(matches!(decode(&with(40), &limits), Err(ImageSkip::TooLarge(_))));
}

#[test]
fn markers_after_the_image_do_not_count_as_scans() {
    let mut jpeg = include_bytes!("small/progressive.jpg").to_vec();
    let whole = outcome(&jpeg).expect("decodes");
    jpeg.extend([0xFF, 0xDA, 0, 2].repeat(1000));
    assert_eq!(outcome(&jpeg), Ok(whole));
}

#[test]
fn no_bytes_are_a_missing_image() {
    assert_eq!(outcome(&[]), Err(ImageSkip::Missing));
}

#[test]
fn bytes_that_are_not_an_image_are_unsupported_with_a_guess_of_their_format() {
    let cases: [(&[u8], &str); 6] = [
        (b"<!DOCTYPE html><html>404</html>", "HTML"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "avif"),
        (b"{\"error\": 404}", "JSON"),
        (b"\x89PN", "89, 50, 4e"),
        (&[0; 100], "00, 00"),
        (b"GIF88a", "47, 49"),
    ];
    for (bytes, expected) in cases {
        match outcome(bytes) {
            Err(ImageSkip::Unsupported(reason)) => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }
}

#[test]
fn a_wrong_beginning_on_a_good_file_is_an_error_of_that_format() {
    let files = small_files();
    for (_, bytes) in &files {
        for (name, other) in &files {
            if bytes[..2] != other[..2] {
                let mixed: Vec<u8> = other[..12].iter().chain(&bytes[12..]).copied().collect();
                assert!(outcome(&mixed).is_err(), "the beginning of {name} on another format");
            }
        }
    }
}

#[test]
fn a_header_of_900_megapixels_is_refused_before_anything_is_allocated() {
    for (name, bytes) in vast_headers(30_000) {
        assert!(bytes.len() < 200, "{name}: the file is tiny");
        match outcome(&bytes) {
            Err(ImageSkip::TooLarge(reason)) => assert!(reason.contains("× 30000"), "{name}: {reason}"),
            other => panic!("{name}: {:?}", other.err()),
        }
    }
    let peak = peak_memory_bytes();
    assert!(peak < 1 << 30, "this process has used {peak} bytes at most");
}

#[test]
fn an_image_whose_decoding_takes_more_memory_than_its_limit_allows_is_refused_by_its_header() {
    // 6000 × 6000 pixels of CMYK, whose coefficients are kept: 11 bytes per pixel.
    let mut jpeg = b"\xff\xd8\xff\xc2\x00\x14\x08\x17\x70\x17\x70\x04".to_vec();
    jpeg.extend((1..=4).flat_map(|component| [component, 0x11, 0]));
    jpeg.extend(b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00");
    let limits = ImageLimits { pixels: 36_000_000, ..ImageLimits::default() };
    match decode(&jpeg, &limits) {
        Err(ImageSkip::TooLarge(reason)) => assert!(reason.starts_with("decoding takes 39"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(peak_decoding_bytes(&jpeg, &limits), 0, "it is not decoded");
    let peak = peak_decoding_bytes(&jpeg, &ImageLimits::default());
    assert!((396_000_000..410_000_000).contains(&peak), "{peak}");
}

#[test]
fn a_header_within_the_limits_without_its_pixels_is_refused_too() {
    for (name, bytes) in vast_headers(8_000) {
        assert!(outcome(&bytes).is_err(), "{name}");
    }
}

#[test]
fn limits_hold_bytes_pixels_and_sides() {
    let bytes = include_bytes!("small/baseline.jpg"); // 24 × 16
    let with = |change: fn(&mut ImageLimits)| {
        let mut limits = ImageLimits::default();
        change(&mut limits);
        decode(bytes, &limits)
    };
    assert!(matches!(
        with(|limits| limits.bytes = 100),
        Err(ImageSkip::TooLarge(reason)) if reason.contains("limits.image_bytes is 100")
    ));
    assert!(matches!(
        with(|limits| limits.pixels = 383),
        Err(ImageSkip::TooLarge(reason)) if reason.contains("limits.pixels is 383")
    ));
    assert!(matches!(
        with(|limits| limits.min_side = 17),
        Err(ImageSkip::TooSmall(reason)) if reason.contains("limits.min_side is 17")
    ));
    assert!(with(|limits| (limits.pixels, limits.min_side) = (384, 16)).is_ok());
}

/// A PNG of these chunks, with a size, a bit depth and a colour type.
fn png_of(chunks: &[(&[u8; 4], &[u8])], (width, height): (u32, u32), [bits, kind]: [u8; 2]) -> Vec<u8> {
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[bits, kind, 0, 0, 0]].concat();
    let chunks =
        [(b"IHDR", head.as_slice())].into_iter().chain(chunks.iter().copied()).chain([(b"IEND", &[][..])]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in chunks {
        let checked = [name.as_slice(), data].concat();
        png.extend(
            [&(data.len() as u32).to_be_bytes()[..], &checked, &crc32(&checked).to_be_bytes()].concat(),
        );
    }
    png
}

/// A few bytes as a stored zlib stream, without its checksum.
fn zlib_stored(bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len() as u16;
    [&[0x78, 0x01, 1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), bytes].concat()
}

/// Peak memory of this process, from Linux.
fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux describes a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("with its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of kilobytes") << 10
}

/// xorshift64: good enough to damage files, and reproducible for a seed.
struct Random(u64);

impl Random {
    /// Seeded from the clock; a failing test prints the seed.
    fn printed() -> Self {
        let now = std::time::UNIX_EPOCH.elapsed().expect("the clock is past 1970");
        let seed = now.as_nanos() as u64 | 1;
        println!("seed {seed}");
        Self(seed)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}
