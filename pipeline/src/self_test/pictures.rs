//! Pictures that need no file: computed with integer arithmetic, so that every machine has the same ones, at
//! any size.

use crate::model::PixelBatch;

/// A smooth picture, one with shapes, and noise.
pub(super) const PICTURES: [&str; 3] = ["gradient", "discs", "noise"];

/// One of [`PICTURES`] as a batch of one.
pub(super) fn draw(picture: &str, side: usize) -> PixelBatch {
    let mut noise = 0x9e37_79b9_u32;
    let mut pixels = Vec::with_capacity(side * side * 3);
    for y in 0..side {
        for x in 0..side {
            pixels.extend(match picture {
                "gradient" => gradient(x, y, side),
                "discs" => discs(x, y, side),
                _ => random(&mut noise),
            });
        }
    }
    let mut batch = PixelBatch::with_capacity(side, 1);
    batch.push(&pixels);
    batch
}

/// Red increases to the right, green downwards, blue to the upper left.
fn gradient(x: usize, y: usize, side: usize) -> [u8; 3] {
    let share = |part: usize, whole: usize| (part * 255 / whole) as u8;
    [share(x, side), share(y, side), 255 - share(x + y, 2 * side)]
}

/// A large red disc and a small blue one on a light ground.
fn discs(x: usize, y: usize, side: usize) -> [u8; 3] {
    // Position of the pixel's middle, in thousandths of a side.
    let at = |i: usize| ((2 * i + 1) * 500 / side) as i64;
    let is_in = |cx: i64, cy: i64, r: i64| (at(x) - cx).pow(2) + (at(y) - cy).pow(2) <= r * r;
    if is_in(400, 450, 260) {
        [210, 40, 35]
    } else if is_in(800, 770, 130) {
        [40, 70, 200]
    } else {
        [225, 220, 210]
    }
}

/// The next number of Marsaglia's xorshift generator.
fn random(state: &mut u32) -> [u8; 3] {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    let [a, b, c, _] = state.to_be_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_pinned_for_as_long_as_the_record_s_version() {
        let digest = |side| {
            let pixels = PICTURES.map(|picture| draw(picture, side));
            capfilt_schemas::hash::sha256_hex_of_parts(pixels.iter().map(PixelBatch::pixels_u8))
        };
        assert_eq!(&digest(56)[..16], "906cd543d69d4834");
        assert_eq!(&digest(384)[..16], "9bcbeb8b596d9915");
    }
}
