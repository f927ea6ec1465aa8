//! `softmax(scale q kᵀ + mask) v`, six queries at a time, whose scores lie in the first cache.

use std::arch::x86_64::*;

use crate::{
    curves::exp,
    numbers::Numbers,
    panels::{Panels, Rows},
    tile::{COLUMNS, ROWS, Sums, VECTORS, by_rows, lanes, tile},
};

/// Keys and values in panels.
pub struct KeyValues {
    keys: Panels,
    values: Panels,
    tokens: usize,
    /// Numbers in a value.
    width: usize,
}

/// Scores of six queries, and what `softmax` makes of them, in the kernel's numbers.
pub struct Scratch {
    scores: Vec<f32>,  // (six, keys to whole panels)
    weights: Vec<u32>, // (six, keys to whole panels), from the start of a row
}

/// Queries that look at the same keys, and where what they see goes.
#[derive(Clone, Copy)]
pub struct Looking {
    pub at: *const u8,
    /// Bytes from a query to the next.
    pub stride: usize,
    pub out: *mut u8,
    pub out_stride: usize,
    /// What scores are multiplied by.
    pub scale: f32,
    /// Added to a query's scores, f32; null for nothing. Each query's `mask_stride` bytes after the one
    /// before.
    pub mask: *const f32,
    pub mask_stride: usize,
}

impl KeyValues {
    /// # Safety
    /// The rows must be readable, equally many of both, and keys of a whole number of steps.
    pub unsafe fn pack<N: Numbers>(keys: Rows, values: Rows) -> Self {
        // SAFETY: the caller's promise.
        let (panels, of_values) = unsafe { (Panels::of_rows::<N>(keys), Panels::of_columns::<N>(values)) };
        Self { keys: panels, values: of_values, tokens: keys.count, width: values.width }
    }

    pub fn tokens(&self) -> usize {
        self.tokens
    }

    pub fn scratch(&self) -> Scratch {
        let all = ROWS * self.keys.count() * COLUMNS;
        Scratch { scores: vec![0.0; all], weights: vec![0; all] }
    }

    /// `count` queries' results.
    ///
    /// # Safety
    /// The CPU must be supported; queries and mask must be there, and nobody else may write their results.
    pub unsafe fn look<N: Numbers>(&self, scratch: &mut Scratch, queries: Looking, count: usize) {
        for first in (0..count).step_by(ROWS) {
            let queries = Looking {
                at: queries.at.wrapping_add(first * queries.stride),
                out: queries.out.wrapping_add(first * queries.out_stride),
                mask: queries.mask.wrapping_byte_add(first * queries.mask_stride),
                ..queries
            };
            // SAFETY: the caller's promise.
            unsafe { by_rows!(count - first, look::<N>(self, scratch, queries)) };
        }
    }
}

/// # Safety
/// As of [`KeyValues::look`], for `R` queries.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn look<N: Numbers, const R: usize>(seen: &KeyValues, scratch: &mut Scratch, queries: Looking) {
    let width = seen.keys.count() * COLUMNS;
    for panel in 0..seen.keys.count() {
        let keys = seen.keys.panel(panel);
        // SAFETY: a query has as many steps as the keys.
        let scores: Sums<R> = unsafe { tile::<N, R>(queries.at, queries.stride, keys, seen.keys.steps()) };
        for (r, scores) in scores.into_iter().enumerate() {
            for (i, scores) in scores.into_iter().enumerate() {
                let place = &mut scratch.scores[r * width + panel * COLUMNS + i * 16..][..16];
                // SAFETY: sixteen numbers.
                unsafe { _mm512_storeu_ps(place.as_mut_ptr(), scores) };
            }
        }
    }
    let mut shares = [0.0; R];
    for (r, share) in shares.iter_mut().enumerate() {
        let (scores, weights) =
            (&mut scratch.scores[r * width..][..width], &mut scratch.weights[r * width..][..width]);
        let mask = (!queries.mask.is_null()).then(|| queries.mask.wrapping_byte_add(r * queries.mask_stride));
        // SAFETY: the CPU is supported, and a mask has a number a key.
        *share = unsafe { weigh::<N>(scores, weights, seen.tokens, queries.scale, mask) }.recip();
    }
    for panel in 0..seen.values.count() {
        let (weights, values) = (scratch.weights.as_ptr().cast(), seen.values.panel(panel));
        // SAFETY: a row of weights has a step for each of the values, the last filled up with 0.
        let sums: Sums<R> = unsafe { tile::<N, R>(weights, 4 * width, values, seen.values.steps()) };
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate().take(VECTORS) {
                let column = panel * COLUMNS + i * 16;
                let place = queries.out.wrapping_add(r * queries.out_stride + column * N::BYTES);
                let sum = _mm512_mul_ps(sum, _mm512_set1_ps(shares[r]));
                // SAFETY: the lanes of the values' own numbers.
                unsafe { N::store(place, lanes(seen.width.saturating_sub(column)), sum) };
            }
        }
    }
}

/// `e^(s − most)` of the first `keys` scores, scaled and masked, in the kernel's numbers and followed by
/// zeros; returns their sum.
///
/// # Safety
/// The CPU must be supported, and the mask must have `keys` numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn weigh<N: Numbers>(
    scores: &mut [f32],
    weights: &mut [u32],
    keys: usize,
    scale: f32,
    mask: Option<*const f32>,
) -> f32 {
    let mut most = _mm512_set1_ps(f32::NEG_INFINITY);
    for i in (0..keys).step_by(16) {
        let (place, here) = (scores[i..][..16].as_mut_ptr(), lanes(keys - i));
        // SAFETY: sixteen scores; of the mask only what is among the keys.
        unsafe {
            let mut score = _mm512_mul_ps(_mm512_loadu_ps(place), _mm512_set1_ps(scale));
            if let Some(mask) = mask {
                score = _mm512_add_ps(score, _mm512_maskz_loadu_ps(here, mask.add(i)));
            }
            _mm512_storeu_ps(place, score);
            most = _mm512_mask_max_ps(most, here, most, score);
        }
    }
    let most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    let mut sum = _mm512_setzero_ps();
    let weights: *mut u8 = weights.as_mut_ptr().cast();
    for i in (0..keys).step_by(16) {
        // SAFETY: `i` is a multiple of 16 below `keys`, and both rows go on to a multiple of 64; a weight has
        // at most four bytes.
        unsafe {
            let score = _mm512_loadu_ps(scores[i..][..16].as_ptr());
            let weight = _mm512_maskz_mov_ps(lanes(keys - i), exp(_mm512_sub_ps(score, most)));
            sum = _mm512_add_ps(sum, weight);
            N::store(weights.add(i * N::BYTES), u16::MAX, weight);
        }
    }
    _mm512_reduce_add_ps(sum)
}
