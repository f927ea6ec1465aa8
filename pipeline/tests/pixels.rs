//! The promise that the models see the pixels they were trained on: every image of the set, decoded and squashed here,
//! against what Pillow makes of it.

#![allow(clippy::unwrap_used)]

mod support;

use capfilt_pipeline::image::{ImageLimits, decode};
use capfilt_pipeline::resize::Resizer;
use support::pillow_reference;

const SIDES: [usize; 3] = [384, 224, 56];

/// How far from Pillow an image may be: levels of 255, and the share of values that must be equal.
#[derive(Clone, Copy)]
struct Tolerance {
    levels: u8,
    equal: f64,
}

/// What the product promises.
const PROMISED: Tolerance = Tolerance { levels: 1, equal: 0.99 };
/// What it keeps for almost every file: the same codec or the same arithmetic, so nothing may differ.
const SAME: Tolerance = Tolerance { levels: 0, equal: 1.0 };

/// Files whose codec is not Pillow's.
fn tolerance(name: &str) -> Tolerance {
    match name {
        "tiff-jpeg.tif" => PROMISED,
        name if name.ends_with(".webp") => PROMISED,
        _ => SAME,
    }
}

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

    fn keeps(&self, tolerance: Tolerance) -> bool {
        self.levels <= tolerance.levels && self.equal >= tolerance.equal
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
    for (name, pillow) in &reference.images {
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
            if !agreement.keeps(tolerance(name)) {
                broken.push(format!("{name} at {side}: {agreement}"));
            }
        }
        println!();
    }
    assert!(reference.images.len() > 200, "the image set is there");
    assert!(broken.is_empty(), "{} images differ from Pillow:\n{}", broken.len(), broken.join("\n"));
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
fn truncation_is_judged_as_pillow_judges_it() {
    let reference = pillow_reference();
    let mut compared = 0;
    for (name, length, pillow_decodes) in &reference.truncated {
        let bytes = reference.bytes(name);
        let ours = decode(&bytes[..*length], &ImageLimits::default());
        println!("{name} cut to {length} of {}: Pillow {pillow_decodes}, here {:?}", bytes.len(), ours.as_ref().err());
        // Refusing what Pillow still shows costs a row and says so; showing what Pillow refuses would be half an image.
        assert!(*pillow_decodes || ours.is_err(), "{name} cut to {length} bytes decodes here, and Pillow refuses it");
        compared += 1;
    }
    assert!(compared > 50, "{compared} truncations compared");
}
