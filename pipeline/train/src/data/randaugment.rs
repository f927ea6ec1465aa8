//! RandAugment as BLIP uses it (section 4.1 and its published augmentation): a few operations, sampled with
//! replacement, each applied with probability 1/2. No operation changes a hue, because captions name colours.
//!
//! Histogram operations follow Pillow; geometry follows OpenCV's `warpAffine` (bilinear, in its fixed-point
//! arithmetic, with a gray border). Images are square, `side × side × 3` bytes.

use super::draws::Draws;

/// The highest magnitude.
const MOST: f64 = 10.0;
/// Value of pixels outside a moved image.
const FILL: u8 = 128;
/// Translation in pixels at the highest magnitude.
const MOST_PIXELS: f64 = 10.0;
const MOST_DEGREES: f64 = 30.0;
const MOST_SHEAR: f64 = 0.3;

/// An operation with its parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Operation {
    /// The image as it is.
    Identity,
    /// Values stretched to the full range, per channel.
    AutoContrast,
    /// Values with a flat histogram, per channel.
    Equalize,
    /// Factor of brightness; 1 at magnitude 5.
    Brightness(f64),
    /// Factor of sharpness; 1 at magnitude 5.
    Sharpness(f64),
    /// Columns per row.
    ShearX(f64),
    /// Rows per column.
    ShearY(f64),
    /// Pixels to the left.
    TranslateX(f64),
    /// Pixels upwards.
    TranslateY(f64),
    /// Degrees, counter-clockwise.
    Rotate(f64),
}

/// Applies `count` operations of a magnitude from 0 to 10.
pub(crate) fn rand_augment(
    pixels_u8: &mut Vec<u8>,
    start: usize,
    side: usize,
    count: u32,
    magnitude: f64,
    draws: &mut Draws,
) {
    for _ in 0..count {
        let operation = draw(magnitude, draws);
        if draws.unit() < 0.5 {
            let changed = operation.apply(&pixels_u8[start..], side);
            pixels_u8.truncate(start);
            pixels_u8.extend(changed);
        }
    }
}

fn draw(magnitude: f64, draws: &mut Draws) -> Operation {
    let share = magnitude / MOST;
    let which = draws.below(10);
    let sign = if draws.unit() < 0.5 { -1.0 } else { 1.0 };
    match which {
        0 => Operation::Identity,
        1 => Operation::AutoContrast,
        2 => Operation::Equalize,
        3 => Operation::Brightness(share * 1.8 + 0.1),
        4 => Operation::Sharpness(share * 1.8 + 0.1),
        5 => Operation::ShearX(sign * share * MOST_SHEAR),
        6 => Operation::ShearY(sign * share * MOST_SHEAR),
        7 => Operation::TranslateX(sign * share * MOST_PIXELS),
        8 => Operation::TranslateY(sign * share * MOST_PIXELS),
        _ => Operation::Rotate(sign * share * MOST_DEGREES),
    }
}

impl Operation {
    /// Applies the operation.
    pub fn apply(self, pixels_u8: &[u8], side: usize) -> Vec<u8> {
        let center = side as f64 / 2.0;
        match self {
            Self::Identity => pixels_u8.to_vec(),
            Self::AutoContrast => by_channel(pixels_u8, stretched),
            Self::Equalize => by_channel(pixels_u8, equalized),
            Self::Brightness(factor) => by_channel(pixels_u8, |_| table(|value| value * factor)),
            Self::Sharpness(factor) => sharpened(pixels_u8, side, factor),
            Self::ShearX(factor) => warped(pixels_u8, side, [1.0, factor, 0.0, 0.0, 1.0, 0.0]),
            Self::ShearY(factor) => warped(pixels_u8, side, [1.0, 0.0, 0.0, factor, 1.0, 0.0]),
            Self::TranslateX(offset) => warped(pixels_u8, side, [1.0, 0.0, -offset, 0.0, 1.0, 0.0]),
            Self::TranslateY(offset) => warped(pixels_u8, side, [1.0, 0.0, 0.0, 0.0, 1.0, -offset]),
            Self::Rotate(degrees) => {
                let (sin, cos) = degrees.to_radians().sin_cos();
                let (dx, dy) = ((1.0 - cos) * center - sin * center, sin * center + (1.0 - cos) * center);
                warped(pixels_u8, side, [cos, sin, dx, -sin, cos, dy])
            }
        }
    }
}

/// A table of 256 values, clipped to bytes.
fn table(value: impl Fn(f64) -> f64) -> [u8; 256] {
    std::array::from_fn(|i| value(i as f64).clamp(0.0, 255.0) as u8)
}

/// Maps each channel by a table that is made from the channel's histogram.
fn by_channel(pixels_u8: &[u8], table_of: impl Fn(&[u64; 256]) -> [u8; 256]) -> Vec<u8> {
    let tables: [[u8; 256]; 3] = std::array::from_fn(|channel| {
        let mut histogram = [0; 256];
        pixels_u8.iter().skip(channel).step_by(3).for_each(|value| histogram[usize::from(*value)] += 1);
        table_of(&histogram)
    });
    let mapped = pixels_u8.chunks_exact(3).flat_map(|pixel| (0..3).map(|c| tables[c][usize::from(pixel[c])]));
    mapped.collect()
}

/// Stretches the histogram to the full range.
fn stretched(histogram: &[u64; 256]) -> [u8; 256] {
    let low = histogram.iter().position(|n| *n > 0).unwrap_or(0) as f64;
    let high = histogram.iter().rposition(|n| *n > 0).unwrap_or(0) as f64;
    if high <= low {
        return table(|value| value);
    }
    let scale = 255.0 / (high - low);
    table(|value| value * scale - low * scale)
}

/// Equalises the histogram.
fn equalized(histogram: &[u64; 256]) -> [u8; 256] {
    let last = histogram.iter().rposition(|n| *n > 0).unwrap_or(0);
    let step = (histogram.iter().sum::<u64>() - histogram[last]) / 255;
    if step == 0 {
        return table(|value| value);
    }
    let mut before = step / 2;
    std::array::from_fn(|i| {
        let value = (before / step).min(255) as u8;
        before += histogram[i];
        value
    })
}

/// Sharpens or blurs: extrapolates from, or interpolates with, a blurred copy. The border is not changed.
fn sharpened(pixels_u8: &[u8], side: usize, factor: f64) -> Vec<u8> {
    if factor == 1.0 {
        return pixels_u8.to_vec();
    }
    let mut out = pixels_u8.to_vec();
    let at = |y: usize, x: usize, c: usize| f64::from(pixels_u8[(y * side + x) * 3 + c]);
    for y in 1..side.saturating_sub(1) {
        for x in 1..side - 1 {
            for c in 0..3 {
                let around: f64 =
                    (y - 1..=y + 1).flat_map(|v| (x - 1..=x + 1).map(move |u| at(v, u, c))).sum();
                let blurred = ((around + 4.0 * at(y, x, c)) / 13.0).round();
                let value = blurred + factor * (at(y, x, c) - blurred);
                out[(y * side + x) * 3 + c] = value.clamp(0.0, 255.0) as u8;
            }
        }
    }
    out
}

/// Fractional bits of a coordinate, and of a coordinate in interpolation: those of OpenCV.
const COORDINATE_BITS: u32 = 10;
const MIX_BITS: u32 = 5;

/// Warps the image by the affine map [a b c; d e f] from source to target pixels.
fn warped(pixels_u8: &[u8], side: usize, [a, b, c, d, e, f]: [f64; 6]) -> Vec<u8> {
    // The inverse map: the source position of each target pixel.
    let determinant = a * e - b * d;
    let [u_x, u_y, v_x, v_y] = [e, -b, -d, a].map(|entry| entry / determinant);
    let (u_0, v_0) = (-u_x * c - u_y * f, -v_x * c - v_y * f);
    let fixed = |value: f64| (value * f64::from(1 << COORDINATE_BITS)).round_ties_even() as i64;
    let half = 1_i64 << (COORDINATE_BITS - MIX_BITS - 1);
    let mut out = Vec::with_capacity(pixels_u8.len());
    for y in 0..side {
        let (row_u, row_v) = (fixed(u_y * y as f64 + u_0) + half, fixed(v_y * y as f64 + v_0) + half);
        for x in 0..side {
            let u = (row_u + fixed(u_x * x as f64)) >> (COORDINATE_BITS - MIX_BITS);
            let v = (row_v + fixed(v_x * x as f64)) >> (COORDINATE_BITS - MIX_BITS);
            out.extend(mixed(pixels_u8, side as i64, u, v));
        }
    }
    out
}

/// The interpolated pixel at (u, v), in units of 1/32 pixel.
fn mixed(pixels_u8: &[u8], side: i64, u: i64, v: i64) -> [u8; 3] {
    const UNIT: i64 = 1 << MIX_BITS;
    let (x, y, fx, fy) = (u >> MIX_BITS, v >> MIX_BITS, u & (UNIT - 1), v & (UNIT - 1));
    let tap = |x: i64, y: i64, channel: usize| {
        let is_inside = (0..side).contains(&x) && (0..side).contains(&y);
        i64::from(if is_inside { pixels_u8[(y * side + x) as usize * 3 + channel] } else { FILL })
    };
    std::array::from_fn(|channel| {
        let upper = tap(x, y, channel) * (UNIT - fx) + tap(x + 1, y, channel) * fx;
        let lower = tap(x, y + 1, channel) * (UNIT - fx) + tap(x + 1, y + 1, channel) * fx;
        let sum = upper * (UNIT - fy) + lower * fy;
        ((sum + (1 << (2 * MIX_BITS - 1))) >> (2 * MIX_BITS)) as u8
    })
}
