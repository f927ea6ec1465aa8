//! Augmentation of a training image (BLIP, section 4.1): random crop, horizontal flip and RandAugment.

use super::{draws::Draws, randaugment::rand_augment};
use capfilt_pipeline::{image::RgbImage, resize::Resizer};
use capfilt_schemas::settings::training_data::{Augment, Crop};

/// Attempts to find a crop of the sampled area and ratio inside the image, as in torchvision.
const TRIES: usize = 10;
/// Narrowest and widest crop: width over height.
const RATIOS: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// A crop of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub left: u32,
    pub top: u32,
    pub width: u32,
    pub height: u32,
}

/// Appends the augmented image to `out`: `side × side × 3` bytes.
pub fn augment(
    image: RgbImage,
    side: usize,
    how: &Augment,
    draws: &mut Draws,
    resizer: &mut Resizer,
    out: &mut Vec<u8>,
) {
    let image = match how.crop {
        Crop::Random => cut(&image, random_part(image.width, image.height, how.min_scale, draws)),
        Crop::Squash => image,
    };
    let start = out.len();
    resizer.squash(&image, side, out);
    if how.flip > 0.0 && draws.unit() < how.flip {
        mirror(&mut out[start..], side);
    }
    rand_augment(out, start, side, how.operations, how.magnitude, draws);
}

/// A crop with `min_scale` to 1 of the area and a ratio within `RATIOS`, log-uniform. After `TRIES` crops
/// that exceed the image, the largest centre crop with an allowed ratio (torchvision's `RandomResizedCrop`).
pub(crate) fn random_part(width: u32, height: u32, min_scale: f64, draws: &mut Draws) -> Part {
    let (w, h) = (f64::from(width), f64::from(height));
    for _ in 0..TRIES {
        let area = w * h * draws.between(min_scale, 1.0);
        let ratio = draws.between(RATIOS.0.ln(), RATIOS.1.ln()).exp();
        let (part_w, part_h) = ((area * ratio).sqrt().round() as u32, (area / ratio).sqrt().round() as u32);
        if (1..=width).contains(&part_w) && (1..=height).contains(&part_h) {
            let top = draws.below(u64::from(height - part_h) + 1) as u32;
            let left = draws.below(u64::from(width - part_w) + 1) as u32;
            return Part { left, top, width: part_w, height: part_h };
        }
    }
    let (part_w, part_h) = if w / h < RATIOS.0 {
        (width, (w / RATIOS.0).round() as u32)
    } else if w / h > RATIOS.1 {
        ((h * RATIOS.1).round() as u32, height)
    } else {
        (width, height)
    };
    let (part_w, part_h) = (part_w.clamp(1, width), part_h.clamp(1, height));
    Part { left: (width - part_w) / 2, top: (height - part_h) / 2, width: part_w, height: part_h }
}

fn cut(image: &RgbImage, part: Part) -> RgbImage {
    let stride = image.width as usize * 3;
    let (left, bytes) = (part.left as usize * 3, part.width as usize * 3);
    let rows = image.pixels_u8.chunks_exact(stride).skip(part.top as usize).take(part.height as usize);
    let pixels_u8 = rows.flat_map(|row| row[left..left + bytes].iter().copied()).collect();
    RgbImage { width: part.width, height: part.height, pixels_u8, reduced_from: None }
}

fn mirror(pixels_u8: &mut [u8], side: usize) {
    for row in pixels_u8.chunks_exact_mut(side * 3) {
        for x in 0..side / 2 {
            for channel in 0..3 {
                row.swap(x * 3 + channel, (side - 1 - x) * 3 + channel);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_within_the_image_and_cover_the_scales_asked_for() {
        let mut draws = Draws::of("test", &[1]);
        let mut areas: Vec<f64> = Vec::new();
        for _ in 0..2000 {
            let part = random_part(120, 90, 0.2, &mut draws);
            assert!(part.left + part.width <= 120 && part.top + part.height <= 90, "{part:?}");
            areas.push(f64::from(part.width * part.height) / (120.0 * 90.0));
        }
        let (least, most) =
            areas.iter().fold((1.0_f64, 0.0_f64), |(a, b), area| (a.min(*area), b.max(*area)));
        assert!(least > 0.19 && least < 0.25 && most > 0.9, "{least} to {most}");
        // A strip has no crop of an allowed ratio except the centre crop.
        let strip = random_part(1000, 10, 0.9, &mut draws);
        assert_eq!(strip, Part { left: 493, top: 0, width: 13, height: 10 });
    }

    #[test]
    fn a_mirrored_picture_has_its_columns_in_reverse() {
        let mut pixels = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        mirror(&mut pixels, 2);
        assert_eq!(pixels, [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
    }
}
