//! Squashes an image to the model's square, bit for bit as Pillow's bicubic does it.
//!
//! Pillow's way is: weights of the cubic with a = −0.5, stretched when shrinking so that every source pixel counts;
//! rounded to 22 fractional bits; a horizontal pass rounded to u8, then a vertical pass on that. The rounding *between*
//! the passes is part of the result. (`fast_image_resize` has the same cubic, but runs the vertical pass first and
//! keeps fewer bits: up to 11 levels off Pillow on photographs; with its passes called in Pillow's order still 2 levels,
//! and one value in a hundred differs. So the few lines are here.)
//!
//! The loops are plain Rust over fixed-size arrays, which the compiler turns into vector code; `pulp` compiles them for
//! the vector units that the machine turns out to have.

use crate::image::RgbImage;

/// Fractional bits of a weight: 32 bits less 8 for the pixel and 2 for the overshoot of the cubic.
const FRACTION_BITS: u32 = 22;
/// The cubic reaches two pixels to each side.
const REACH: f64 = 2.0;
/// Horizontal pass: pixels widened to 4 values, so that one of them fills half a vector and sums stay in their channel.
const CHANNELS: usize = 4;
/// Horizontal pass: 4 such pixels are weighed at once. A window is padded to a multiple of it.
const LANES_ACROSS: usize = 4 * CHANNELS;
/// Vertical pass: so many neighbouring values are weighed at once. Rows of the middle image are padded to a multiple of it.
const LANES_DOWN: usize = 32;

/// Resizes images one after the other in buffers that it keeps; one per thread.
#[derive(Default)]
pub struct Resizer {
    /// One source row of widened pixels, followed by zeros for windows that reach past its end.
    row: Vec<[u8; CHANNELS]>,
    /// One row of the middle image, of widened pixels too: were the fourth value dropped at once, the compiler would not
    /// compute it, and so not use vectors.
    squashed_row: Vec<[u8; CHANNELS]>,
    /// The image after the horizontal pass: source height × `side` RGB pixels, rows padded.
    middle: Vec<u8>,
    /// Interleaved weights of the horizontal pass: one per channel and pixel of each padded window.
    weights_across: Vec<i32>,
}

impl Resizer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `image`, squashed to `side` × `side`, to `out`: `side × side × 3` bytes, row by row, red first.
    ///
    /// A side that is already `side` long is left as it is, as in Pillow.
    ///
    /// # Panics
    /// When `image` is empty or its buffer does not fit its size: decoding promises both.
    pub fn squash(&mut self, image: &RgbImage, side: usize, out: &mut Vec<u8>) {
        let (width, height) = (image.width as usize, image.height as usize);
        assert!(width > 0 && height > 0 && image.pixels_u8.len() == width * height * 3, "a decoded image has width × height RGB pixels");
        pulp::Arch::new().dispatch(Squash { buffers: self, pixels: &image.pixels_u8, width, height, side, out });
    }

    /// Horizontal pass: (height, width, 3) -> `middle` (height, side, 3).
    #[inline(always)]
    fn pass_across(&mut self, pixels: &[u8], width: usize, height: usize, side: usize) {
        let stride = row_stride(side);
        self.middle.clear();
        self.middle.resize(height * stride, 0);
        let rows = pixels.chunks_exact(width * 3).zip(self.middle.chunks_exact_mut(stride));
        if width == side {
            rows.for_each(|(from, to)| to[..side * 3].copy_from_slice(from));
            return;
        }
        let windows = Windows::new(width, side);
        let padded = interleave(&windows, &mut self.weights_across);
        self.row.clear();
        self.row.resize(width + padded / CHANNELS, [0; CHANNELS]);
        self.squashed_row.resize(side, [0; CHANNELS]);
        for (from, to) in rows {
            for (wide, &[red, green, blue]) in self.row.iter_mut().zip(from.as_chunks::<3>().0) {
                *wide = [red, green, blue, 0];
            }
            let weights = self.weights_across.chunks_exact(padded);
            for ((pixel, weights), &first) in self.squashed_row.iter_mut().zip(weights).zip(&windows.firsts) {
                *pixel = weigh_pixel(self.row[first..first + padded / CHANNELS].as_flattened(), weights);
            }
            for (narrow, &[red, green, blue, _]) in to.as_chunks_mut::<3>().0.iter_mut().zip(&self.squashed_row) {
                *narrow = [red, green, blue];
            }
        }
    }

    /// Vertical pass: `middle` (height, side, 3) -> `out` (side, side, 3).
    #[inline(always)]
    fn pass_down(&mut self, height: usize, side: usize, out: &mut Vec<u8>) {
        let stride = row_stride(side);
        out.reserve(side * side * 3);
        if height == side {
            self.middle.chunks_exact(stride).for_each(|row| out.extend_from_slice(&row[..side * 3]));
            return;
        }
        let windows = Windows::new(height, side);
        for (weights, &first) in windows.weights.chunks_exact(windows.taps).zip(&windows.firsts) {
            let rows = &self.middle[first * stride..];
            for column in (0..side * 3).step_by(LANES_DOWN) {
                let values = weigh_column(rows, stride, column, weights);
                out.extend_from_slice(&values[..LANES_DOWN.min(side * 3 - column)]);
            }
        }
    }
}

/// One call of [`Resizer::squash`]: what `pulp` compiles once for each kind of vector unit.
struct Squash<'a> {
    buffers: &'a mut Resizer,
    pixels: &'a [u8],
    width: usize,
    height: usize,
    side: usize,
    out: &'a mut Vec<u8>,
}

impl pulp::WithSimd for Squash<'_> {
    type Output = ();

    // Everything called from here is `inline(always)`: only what ends up inside this function gets the wide vectors.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        self.buffers.pass_across(self.pixels, self.width, self.height, self.side);
        self.buffers.pass_down(self.height, self.side, self.out);
    }
}

/// Bytes from one row of the middle image to the next.
fn row_stride(side: usize) -> usize {
    (side * 3).next_multiple_of(LANES_DOWN)
}

/// Which source pixels make each target pixel, and with what weights, along one axis.
struct Windows {
    /// First source pixel of each target pixel's window.
    firsts: Vec<usize>,
    /// `taps` weights per target pixel in units of 2⁻²²; the unused ones at the end are zero.
    weights: Vec<i32>,
    taps: usize,
}

impl Windows {
    /// For `from` source pixels and `to` target pixels. No window reaches past the source.
    fn new(from: usize, to: usize) -> Self {
        let scale = from as f64 / to as f64;
        // Shrinking stretches the cubic over all source pixels; enlarging leaves it as it is.
        let stretch = scale.max(1.0);
        let taps = ((REACH * stretch).ceil() as usize * 2 + 1).min(from);
        let (mut firsts, mut weights) = (Vec::with_capacity(to), vec![0; taps * to]);
        for (index, slots) in weights.chunks_exact_mut(taps).enumerate() {
            let centre = (index as f64 + 0.5) * scale;
            let first = (centre - REACH * stretch + 0.5).max(0.0) as usize;
            let end = ((centre + REACH * stretch + 0.5) as usize).min(from);
            let exact: Vec<f64> = (first..end).map(|at| cubic((at as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = exact.iter().sum();
            // Near the end the window starts earlier, with zeros in front, so that all its taps lie in the source.
            let start = first.min(from - taps);
            for (slot, weight) in slots[first - start..].iter_mut().zip(&exact) {
                *slot = (weight / sum * f64::from(1 << FRACTION_BITS)).round() as i32;
            }
            firsts.push(start);
        }
        Self { firsts, weights, taps }
    }
}

/// The cubic convolution kernel with a = −0.5 (Keys, 1981).
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < REACH {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Repeats each weight for the channels, and pads each window with zeros; returns a window's padded length.
fn interleave(windows: &Windows, into: &mut Vec<i32>) -> usize {
    let padded = (windows.taps * CHANNELS).next_multiple_of(LANES_ACROSS);
    into.clear();
    into.resize(padded * windows.firsts.len(), 0);
    for (slots, weights) in into.chunks_exact_mut(padded).zip(windows.weights.chunks_exact(windows.taps)) {
        for (slots, weight) in slots.chunks_exact_mut(CHANNELS).zip(weights) {
            slots.fill(*weight);
        }
    }
    padded
}

/// One RGB pixel from a window of widened pixels.
#[inline(always)]
fn weigh_pixel(values: &[u8], weights: &[i32]) -> [u8; CHANNELS] {
    let mut sums = [0i32; LANES_ACROSS];
    for (values, weights) in values.as_chunks::<LANES_ACROSS>().0.iter().zip(weights.as_chunks::<LANES_ACROSS>().0) {
        for lane in 0..LANES_ACROSS {
            sums[lane] += i32::from(values[lane]) * weights[lane];
        }
    }
    let mut pixel = [0; CHANNELS];
    for channel in 0..CHANNELS {
        pixel[channel] = round((sums[channel] + sums[channel + 4]) + (sums[channel + 8] + sums[channel + 12]));
    }
    pixel
}

/// `LANES_DOWN` neighbouring values from as many rows as there are weights.
#[inline(always)]
fn weigh_column(rows: &[u8], stride: usize, column: usize, weights: &[i32]) -> [u8; LANES_DOWN] {
    let mut sums = [0i32; LANES_DOWN];
    for (row, weight) in rows.chunks_exact(stride).zip(weights) {
        let values = &row[column..column + LANES_DOWN];
        for lane in 0..LANES_DOWN {
            sums[lane] += i32::from(values[lane]) * weight;
        }
    }
    let mut rounded = [0; LANES_DOWN];
    for lane in 0..LANES_DOWN {
        rounded[lane] = round(sums[lane]);
    }
    rounded
}

/// Fixed point to u8: nearest, clamped, because the cubic overshoots.
#[inline(always)]
fn round(sum: i32) -> u8 {
    ((sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS).clamp(0, 255) as u8
}
