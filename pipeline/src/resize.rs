//! Resizes an image to the model's square, bit-identical to bicubic resizing in Pillow 13.
//!
//! Pillow's method: weights of the cubic with a = −0.5, stretched for downscaling so that every source pixel
//! counts; weights are rounded to 22 fractional bits; one pass along each axis, with rounding to u8 in
//! between. The order of the passes also changes the result: see `Resizing::down_first`. (`fast_image_resize`
//! has the same cubic, but another order and fewer bits: up to 11 levels off Pillow on photographs; with its
//! passes called in Pillow's order still 2 levels, and up to one value in a hundred differs. Hence this
//! implementation.)
//!
//! Both passes are one loop over whole rows. Neighbouring values of a row have the same weight, so the
//! compiler vectorises the loop, and `pulp` compiles it for each vector unit and selects at run time. For the
//! horizontal pass, blocks of rows are transposed in tiles of four by four; a plain transpose takes as long
//! as the weighted sums.

use crate::{
    framing::{Frame, Framing, Square},
    image::RgbImage,
};
use std::ops::Range;

/// Fractional bits of a weight: 32 bits less 8 for the pixel and 2 for the overshoot of the cubic.
const FRACTION_BITS: u32 = 22;
/// Radius of the cubic in pixels.
const REACH: f64 = 2.0;
/// Rows that are transposed together for the horizontal pass; the block fits the cache.
const BLOCK_ROWS: usize = 16;
/// Neighbouring values per inner loop. Rows are padded to a multiple of this.
const LANES: usize = 3 * BLOCK_ROWS;

/// Resizes images one after the other in reused buffers; one per thread.
///
/// The buffers grow to the largest image: at most its size once more, and its size along one axis.
#[derive(Default)]
pub struct Resizer {
    /// The source with padded rows, for images that are resized vertically first.
    source: Vec<u8>,
    /// The image between the passes.
    middle: Vec<u8>,
    /// The image after both passes: (side, side, 3), rows padded.
    done: Vec<u8>,
    /// A block of rows, transposed: (width, rows, 3).
    block: Vec<u8>,
    /// The block after the horizontal pass: (side, rows, 3).
    squashed: Vec<u8>,
}

impl Resizer {
    /// A resizer with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends `image`, resized to `side` × `side`, to `out`: `side × side × 3` bytes, row by row, red first.
    ///
    /// An axis that already has `side` pixels is not resampled, as in Pillow.
    ///
    /// # Panics
    /// `image` is empty or its buffer does not fit its size; decoding guarantees both.
    pub fn squash(&mut self, image: &RgbImage, side: usize, out: &mut Vec<u8>) {
        self.square(image, Square { side, framing: Framing::Squash }, out);
    }

    /// Appends the square that a model sees of `image`: `side × side × 3` bytes, as [`squash`](Self::squash).
    /// Only the pixels of the square are computed.
    ///
    /// # Panics
    /// As [`squash`](Self::squash).
    pub fn square(&mut self, image: &RgbImage, square: Square, out: &mut Vec<u8>) {
        let (width, height) = (image.width as usize, image.height as usize);
        let fits = width > 0 && height > 0 && image.pixels_u8.len() == width * height * 3;
        assert!(fits, "a decoded image has width × height RGB pixels");
        let (side, frame) = (square.side, square.frame(width, height));
        pulp::Arch::new().dispatch(Resizing {
            buffers: self,
            pixels: &image.pixels_u8,
            width,
            height,
            frame,
        });
        out.reserve(side * side * 3);
        self.done.chunks_exact(padded(side * 3)).for_each(|row| out.extend_from_slice(&row[..side * 3]));
    }

    /// (rows, `stride` bytes) -> (rows, side, 3) in `to`, rows padded.
    #[inline(always)]
    fn across(&mut self, from: &[u8], stride: usize, width: usize, to: &mut [u8], frame: Frame) {
        let (left, side) = (frame.left, frame.side);
        let to_stride = padded(side * 3);
        if width == frame.width {
            let rows = to.chunks_exact_mut(to_stride).zip(from.chunks_exact(stride));
            return rows.for_each(|(to, from)| to[..side * 3].copy_from_slice(&from[left * 3..][..side * 3]));
        }
        let windows = Windows::new(width, frame.width, left..left + side);
        for (from, to) in from.chunks(BLOCK_ROWS * stride).zip(to.chunks_mut(BLOCK_ROWS * to_stride)) {
            let rows = from.len() / stride;
            let block_stride = padded(rows * 3);
            self.block.resize(width * block_stride, 0);
            self.squashed.resize(side * block_stride, 0);
            transpose(from, stride, &mut self.block, block_stride, (width, rows));
            windows.weigh_rows(&self.block, block_stride, &mut self.squashed);
            transpose(&self.squashed, block_stride, to, to_stride, (rows, side));
        }
    }
}

/// (height, `stride` bytes) -> (side, `stride` bytes)
#[inline(always)]
fn down(from: &[u8], stride: usize, height: usize, to: &mut [u8], frame: Frame) {
    let (top, side) = (frame.top, frame.side);
    if height == frame.height {
        to.copy_from_slice(&from[top * stride..][..side * stride]);
    } else {
        Windows::new(height, frame.height, top..top + side).weigh_rows(from, stride, to);
    }
}

/// One call of [`Resizer::square`]; `pulp` compiles it once for each kind of vector unit.
struct Resizing<'a> {
    buffers: &'a mut Resizer,
    pixels: &'a [u8],
    width: usize,
    height: usize,
    frame: Frame,
}

impl Resizing<'_> {
    /// Whether the vertical pass is first. Pillow 13 resizes tall images vertically first, which leaves less
    /// work for the second pass; the exact condition was found by experiment. Pillow 12 and older always
    /// resize horizontally first: on tall images up to 2 levels from this.
    fn down_first(&self) -> bool {
        let Frame { width, height, .. } = self.frame;
        self.height > height && self.height + 2 * width > 2 * self.width + height
    }
}

impl pulp::WithSimd for Resizing<'_> {
    type Output = ();

    // All callees are `inline(always)`: only code inside this function is compiled for the wide vectors.
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let down_first = self.down_first();
        let Self { buffers, pixels, width, height, frame } = self;
        let side = frame.side;
        let (wide, narrow) = (padded(width * 3), padded(side * 3));
        // Moved out, because the buffers of the horizontal pass are borrowed at the same time.
        let (mut middle, mut done) = (std::mem::take(&mut buffers.middle), std::mem::take(&mut buffers.done));
        done.resize(side * narrow, 0);
        if down_first {
            pad_rows(pixels, width * 3, &mut buffers.source, wide);
            middle.resize(side * wide, 0);
            down(&buffers.source, wide, height, &mut middle, frame);
            buffers.across(&middle, wide, width, &mut done, frame);
        } else {
            middle.resize(height * narrow, 0);
            buffers.across(pixels, width * 3, width, &mut middle, frame);
            down(&middle, narrow, height, &mut done, frame);
        }
        (buffers.middle, buffers.done) = (middle, done);
    }
}

/// (rows, `row_bytes`) -> (rows, `stride`)
fn pad_rows(from: &[u8], row_bytes: usize, to: &mut Vec<u8>, stride: usize) {
    to.resize(from.len() / row_bytes * stride, 0);
    let rows = to.chunks_exact_mut(stride).zip(from.chunks_exact(row_bytes));
    rows.for_each(|(to, from)| to[..row_bytes].copy_from_slice(from));
}

/// Source pixels of each target pixel, with their weights, along one axis.
struct Windows {
    /// First source pixel of each target pixel's window.
    firsts: Vec<usize>,
    /// `taps` weights per target pixel in units of 2⁻²²; the unused ones at the end are zero.
    weights: Vec<i32>,
    taps: usize,
}

impl Windows {
    /// Windows of the target pixels `cut`, for `from` source pixels and `to` target pixels. All windows are
    /// within the source.
    fn new(from: usize, to: usize, cut: Range<usize>) -> Self {
        let scale = from as f64 / to as f64;
        // Downscaling stretches the cubic over all source pixels; upscaling does not.
        let stretch = scale.max(1.0);
        let taps = ((REACH * stretch).ceil() as usize * 2 + 1).min(from);
        let (mut firsts, mut weights) = (Vec::with_capacity(cut.len()), vec![0; taps * cut.len()]);
        for (index, slots) in cut.zip(weights.chunks_exact_mut(taps)) {
            let centre = (index as f64 + 0.5) * scale;
            let first = (centre - REACH * stretch + 0.5).max(0.0) as usize;
            let end = ((centre + REACH * stretch + 0.5) as usize).min(from);
            let exact: Vec<f64> =
                (first..end).map(|at| cubic((at as f64 - centre + 0.5) / stretch)).collect();
            let sum: f64 = exact.iter().sum();
            // Near the end, the window starts earlier, with leading zeros, so that all taps are within the
            // source.
            let start = first.min(from - taps);
            for (slot, weight) in slots[first - start..].iter_mut().zip(&exact) {
                *slot = (weight / sum * f64::from(1 << FRACTION_BITS)).round() as i32;
            }
            firsts.push(start);
        }
        Self { firsts, weights, taps }
    }

    /// Weighted sums of rows of `stride` bytes, a multiple of [`LANES`]: (from, stride) -> (to, stride).
    #[inline(always)]
    fn weigh_rows(&self, from: &[u8], stride: usize, to: &mut [u8]) {
        let windows = self.firsts.iter().zip(self.weights.chunks_exact(self.taps));
        for ((first, weights), to) in windows.zip(to.chunks_exact_mut(stride)) {
            let rows = &from[first * stride..(first + self.taps) * stride];
            for (part, to) in to.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
                *to = weigh(&rows[part * LANES..], stride, weights);
            }
        }
    }
}

/// Weighted sum of the first [`LANES`] values of as many rows as there are weights.
#[inline(always)]
fn weigh(rows: &[u8], stride: usize, weights: &[i32]) -> [u8; LANES] {
    let mut sums = [0i32; LANES];
    for (row, weight) in rows.chunks(stride).zip(weights) {
        let values = &row[..LANES];
        for lane in 0..LANES {
            sums[lane] += i32::from(values[lane]) * weight;
        }
    }
    let mut rounded = [0; LANES];
    for lane in 0..LANES {
        rounded[lane] = round(sums[lane]);
    }
    rounded
}

/// (columns, rows, 3) -> (rows, columns, 3); each side has its own stride in bytes. `to_size`: (rows,
/// columns).
#[inline(always)]
fn transpose(from: &[u8], from_stride: usize, to: &mut [u8], to_stride: usize, to_size: (usize, usize)) {
    let (rows, columns) = to_size;
    let (tiled_rows, tiled_columns) = (rows - rows % 4, columns - columns % 4);
    for row in (0..tiled_rows).step_by(4) {
        for column in (0..tiled_columns).step_by(4) {
            let mut lines = [[0; 16]; 4];
            for i in 0..4 {
                lines[i][..12].copy_from_slice(&from[(column + i) * from_stride + row * 3..][..12]);
            }
            let pixels = transpose_four(lines);
            for i in 0..4 {
                to[(row + i) * to_stride + column * 3..][..12].copy_from_slice(&pixels[i][..12]);
            }
        }
    }
    // Pixels outside the tiles: the last columns of all rows, then the last rows.
    for row in 0..rows {
        for column in if row < tiled_rows { tiled_columns } else { 0 }..columns {
            let (from, to) =
                (&from[column * from_stride + row * 3..], &mut to[row * to_stride + column * 3..]);
            to[..3].copy_from_slice(&from[..3]);
        }
    }
}

/// Transposes four rows of four pixels.
#[inline(always)]
fn transpose_four(lines: [[u8; 16]; 4]) -> [[u8; 16]; 4] {
    #[cfg(target_arch = "x86_64")]
    if let Some(pulp::x86::V3 { sse2, ssse3, .. }) = pulp::x86::V3::try_new() {
        use pulp::cast;
        // One pixel per 32-bit word, a 4 × 4 transpose of words, and back.
        let spread = cast([0u8, 1, 2, 0x80, 3, 4, 5, 0x80, 6, 7, 8, 0x80, 9, 10, 11, 0x80]);
        let gather = cast([0u8, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 0x80, 0x80, 0x80, 0x80]);
        // Closures would not be compiled for the vector unit.
        let (a, b) =
            (ssse3._mm_shuffle_epi8(cast(lines[0]), spread), ssse3._mm_shuffle_epi8(cast(lines[1]), spread));
        let (c, d) =
            (ssse3._mm_shuffle_epi8(cast(lines[2]), spread), ssse3._mm_shuffle_epi8(cast(lines[3]), spread));
        let (ab, cd) = (sse2._mm_unpacklo_epi32(a, b), sse2._mm_unpacklo_epi32(c, d));
        let (ab_high, cd_high) = (sse2._mm_unpackhi_epi32(a, b), sse2._mm_unpackhi_epi32(c, d));
        return [
            cast(ssse3._mm_shuffle_epi8(sse2._mm_unpacklo_epi64(ab, cd), gather)),
            cast(ssse3._mm_shuffle_epi8(sse2._mm_unpackhi_epi64(ab, cd), gather)),
            cast(ssse3._mm_shuffle_epi8(sse2._mm_unpacklo_epi64(ab_high, cd_high), gather)),
            cast(ssse3._mm_shuffle_epi8(sse2._mm_unpackhi_epi64(ab_high, cd_high), gather)),
        ];
    }
    let mut columns = [[0; 16]; 4];
    for (i, line) in lines.iter().enumerate() {
        for (column, pixel) in columns.iter_mut().zip(line.as_chunks::<3>().0) {
            column[i * 3..i * 3 + 3].copy_from_slice(pixel);
        }
    }
    columns
}

/// Padded row length in bytes.
fn padded(row_bytes: usize) -> usize {
    row_bytes.next_multiple_of(LANES)
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

/// Rounds fixed point to u8: nearest, clamped, because the cubic overshoots.
#[inline(always)]
fn round(sum: i32) -> u8 {
    ((sum + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS).clamp(0, 255) as u8
}
