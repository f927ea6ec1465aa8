//! The models see the pixels of their training: every image of the set, decoded and resized here, is compared
//! with Pillow.

#![allow(clippy::unwrap_used)]

mod support;

use capfilt_pipeline::framing::{Centre, Framing, Square};
use capfilt_pipeline::image::{ImageLimits, ImageSkip, decode};
use capfilt_pipeline::resize::Resizer;
use support::{PillowCut, PillowImage, pillow_reference};

const SIDES: [usize; 3] = [384, 224, 56];

struct Agreement {
    levels: u8,
    equal: f64,
}

impl Agreement {
    fn of(ours: &[u8], theirs: &[u8]) -> Self {
        assert_eq!(ours.len(), theirs.len(), "the images have different sizes");
        let differences = || ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
        let equal = differences().filter(|&difference| difference == 0).count();
        Self { levels: differences().max().unwrap_or(0), equal: equal as f64 / ours.len() as f64 }
    }

    /// No difference is allowed. (The documented promise is 1 level and 99 %.)
    fn is_exact(&self) -> bool {
        self.levels == 0
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:3} {:8.4} %", self.levels, 100.0 * self.equal)
    }
}

#[test]
fn every_format_yields_the_pixels_that_pillow_yields() {
    let reference = pillow_reference();
    let mut resizer = Resizer::new();
    let mut broken = Vec::new();
    println!("{:34} {:>15} {:>15} {:>15} {:>15}", "levels and share equal", "decoded", "384", "224", "56");
    for PillowImage { name, size: pillow } in &reference.images {
        let bytes = reference.bytes(name);
        let ours = decode(&bytes, &ImageLimits::default());
        let (ours, size) = match (ours, pillow) {
            (Ok(ours), Ok(size)) => (ours, size),
            (Err(ours), Err(theirs)) => {
                println!("{name:34} both refuse: {ours} / {theirs}");
                continue;
            }
            (Ok(_), Err(theirs)) => {
                println!("{name:34} decoded here, Pillow says: {theirs}");
                continue;
            }
            (Err(ours), Ok(_)) => {
                broken.push(format!("{name}: {ours}"));
                continue;
            }
        };
        if (ours.width, ours.height) != *size {
            broken.push(format!("{name}: {} × {}, Pillow says {size:?}", ours.width, ours.height));
            continue;
        }
        print!("{name:34} {}", Agreement::of(&ours.pixels_u8, &reference.pixels(name, 0)));
        for side in SIDES {
            let mut squashed = Vec::new();
            resizer.squash(&ours, side, &mut squashed);
            let agreement = Agreement::of(&squashed, &reference.pixels(name, side));
            print!(" {agreement}");
            if !agreement.is_exact() {
                broken.push(format!("{name} at {side}: {agreement}"));
            }
        }
        println!();
    }
    assert!(reference.images.len() > 200, "the image set is there");
    assert!(broken.is_empty(), "{} images differ from Pillow:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn the_centre_that_clip_sees_has_the_pixels_that_pillow_yields() {
    let (reference, mut resizer) = (pillow_reference(), Resizer::new());
    let square = Square { side: 224, framing: Framing::Crop { edge: 224, centre: Centre::RoundedDown } };
    let mut compared = 0;
    for PillowImage { name, .. } in &reference.images {
        let Some(theirs) = reference.cropped(name) else { continue };
        let image = decode(&reference.bytes(name), &ImageLimits::default()).expect("decodes");
        let mut ours = Vec::new();
        resizer.square(&image, square, &mut ours);
        let agreement = Agreement::of(&ours, &theirs);
        assert!(agreement.is_exact(), "{name} of {}x{}: {agreement}", image.width, image.height);
        compared += 1;
    }
    assert!(compared > 100, "{compared} images");
}

/// The pixels of the square alone are computed: the whole resized image would have 45 GB.
#[test]
fn the_centre_of_a_long_image_costs_no_memory() {
    let image = capfilt_pipeline::image::RgbImage {
        width: 300_000,
        height: 1,
        pixels_u8: [9, 200, 30].repeat(300_000),
        reduced_from: None,
    };
    let square = Square { side: 224, framing: Framing::Crop { edge: 224, centre: Centre::HalfToEven } };
    let mut pixels = Vec::new();
    Resizer::new().square(&image, square, &mut pixels);
    assert_eq!(pixels, [9, 200, 30].repeat(224 * 224));
}

#[test]
fn exif_rotation_happens_when_asked_for_and_only_then() {
    let reference = pillow_reference();
    let turning = ImageLimits { exif_rotation: true, ..ImageLimits::default() };
    for turn in 1..=8 {
        let name = format!("jpeg-exif-{turn}.jpg");
        let bytes = reference.bytes(&name);
        let stored = decode(&bytes, &ImageLimits::default()).expect("decodes");
        let turned = decode(&bytes, &turning).expect("decodes");
        assert_eq!((stored.width, stored.height), (200, 120), "{name}");
        assert_eq!(turned.pixels_u8, reference.turned(&name), "{name}");
    }
}

/// Reduced decoding is a faster, different way to downscale: the pixels must be close, and small images must
/// not change.
#[test]
fn reduced_jpegs_are_near_the_exact_pixels_and_small_ones_are_exact() {
    let reference = pillow_reference();
    let (exact, reducing) =
        (ImageLimits::default(), ImageLimits { reduced_side: 56, ..ImageLimits::default() });
    let mut resizer = Resizer::new();
    let mut reduced = 0;
    for PillowImage { name, .. } in reference.images.iter().filter(|image| image.name.ends_with(".jpg")) {
        let bytes = reference.bytes(name);
        let Ok(stored) = decode(&bytes, &exact) else { continue };
        let smaller = decode(&bytes, &reducing).expect("what decodes whole decodes reduced");
        assert_eq!(smaller.stored_size(), (stored.width, stored.height), "{name}");
        if stored.width.min(stored.height) < 4 * 56 {
            assert_eq!(smaller, stored, "{name}: not four times the side");
            continue;
        }
        reduced += 1;
        assert!(
            smaller.width.min(smaller.height) >= 2 * 56,
            "{name}: {} × {}",
            smaller.width,
            smaller.height
        );
        let (mut a, mut b) = (Vec::new(), Vec::new());
        resizer.squash(&stored, 56, &mut a);
        resizer.squash(&smaller, 56, &mut b);
        let off = a.iter().zip(&b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64;
        println!("{name}: {off:.2} levels off on average");
        assert!(
            off < 4.0,
            "{name}: {off} levels off on average, of 255; halved colours cost most, seen: 2.9"
        );
    }
    assert!(reduced > 20, "{reduced} images are large enough");
    let turning = ImageLimits { exif_rotation: true, reduced_side: 25, ..exact };
    let turned = decode(&reference.bytes("jpeg-exif-6.jpg"), &turning).expect("decodes");
    assert_eq!((turned.width, turned.height, turned.stored_size()), (60, 100, (120, 200)));
}

#[test]
fn a_side_that_fits_already_is_not_touched() {
    let reference = pillow_reference();
    let image = decode(&reference.bytes("size-384x384.png"), &ImageLimits::default()).expect("decodes");
    let mut squashed = vec![7];
    Resizer::new().squash(&image, 384, &mut squashed);
    assert_eq!(squashed[0], 7, "the pixels are appended");
    assert_eq!(squashed[1..], image.pixels_u8);
}

#[test]
fn a_truncated_image_is_refused_or_whole() {
    let reference = pillow_reference();
    for PillowCut { name, length, pillow } in &reference.cuts {
        let bytes = reference.bytes(name);
        let ours = decode(&bytes[..*length], &ImageLimits::default());
        let outcome = ours.as_ref().map_or_else(ToString::to_string, |_| "decoded".to_owned());
        println!("{name} cut to {length} of {}: Pillow {pillow}; here {outcome}", bytes.len());
        match ours {
            // Only bytes after the last pixel are missing. Pillow's rule for this differs between formats.
            Ok(image) => {
                assert_eq!(image.pixels_u8, reference.pixels(name, 0), "{name} cut to {length} bytes")
            }
            Err(skip) => {
                assert!(matches!(skip, ImageSkip::Undecodable(_)), "{name} cut to {length} bytes: {skip}")
            }
        }
    }
    assert!(reference.cuts.len() > 100, "the cuts were made");
}
