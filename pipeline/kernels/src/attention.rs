//! `softmax(scale q kᵀ + mask) v`, six queries at a time, so that their scores stay in the L1 cache.

use std::arch::x86_64::*;

use crate::{
    activations::exp,
    element::Element,
    panels::{Panels, Rows},
    tile::{COLUMNS, ROWS, Sums, VECTORS, by_rows, lanes, tile},
};

/// Keys and values of one head, packed in panels.
pub struct KeyValues {
    keys: Panels,
    values: Panels,
    tokens: usize,
    /// Elements of one value vector.
    width: usize,
}

/// Buffers for six queries: their scores, and the unnormalised `softmax` weights in the kernel's element
/// type.
pub struct Scratch {
    scores: Vec<f32>,  // (six, keys to whole panels)
    weights: Vec<u32>, // (six, keys to whole panels), from the start of a row
}

/// Addresses of the queries that attend to the same keys, and of their results.
#[derive(Clone, Copy)]
pub struct AttentionArgs {
    pub at: *const u8,
    /// Bytes from one query to the next.
    pub stride: usize,
    pub out: *mut u8,
    pub out_stride: usize,
    /// Factor of the scores, 1/√d.
    pub scale: f32,
    /// f32 that are added to a query's scores; null for no mask. The rows of two queries are `mask_stride`
    /// bytes apart.
    pub mask: *const f32,
    pub mask_stride: usize,
}

impl KeyValues {
    /// Packs the keys and values of one head.
    ///
    /// # Safety
    /// The rows must be readable. Keys and values must have the same count, and a key a whole number of
    /// steps.
    pub unsafe fn pack<N: Element>(keys: Rows, values: Rows) -> Self {
        // SAFETY: the caller guarantees it.
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

    /// Computes the results of `count` queries.
    ///
    /// # Safety
    /// The CPU must be supported. Queries and mask must be readable, and no other thread may write the
    /// results.
    pub unsafe fn forward<N: Element>(&self, scratch: &mut Scratch, queries: AttentionArgs, count: usize) {
        for first in (0..count).step_by(ROWS) {
            let queries = AttentionArgs {
                at: queries.at.wrapping_add(first * queries.stride),
                out: queries.out.wrapping_add(first * queries.out_stride),
                mask: queries.mask.wrapping_byte_add(first * queries.mask_stride),
                ..queries
            };
            // SAFETY: the caller guarantees it.
            unsafe { by_rows!(count - first, forward::<N>(self, scratch, queries)) };
        }
    }
}

/// # Safety
/// As for [`KeyValues::forward`], for `R` queries.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn forward<N: Element, const R: usize>(
    seen: &KeyValues,
    scratch: &mut Scratch,
    queries: AttentionArgs,
) {
    let width = seen.keys.count() * COLUMNS;
    for panel in 0..seen.keys.count() {
        let keys = seen.keys.panel(panel);
        // SAFETY: a query has as many steps as the keys.
        let scores: Sums<R> = unsafe { tile::<N, R>(queries.at, queries.stride, keys, seen.keys.steps()) };
        for (r, scores) in scores.into_iter().enumerate() {
            for (i, scores) in scores.into_iter().enumerate() {
                let place = &mut scratch.scores[r * width + panel * COLUMNS + i * 16..][..16];
                // SAFETY: the place has sixteen f32.
                unsafe { _mm512_storeu_ps(place.as_mut_ptr(), scores) };
            }
        }
    }
    let mut shares = [0.0; R];
    for (r, share) in shares.iter_mut().enumerate() {
        let (scores, weights) =
            (&mut scratch.scores[r * width..][..width], &mut scratch.weights[r * width..][..width]);
        let mask = (!queries.mask.is_null()).then(|| queries.mask.wrapping_byte_add(r * queries.mask_stride));
        // SAFETY: the CPU is supported, and a mask has one f32 per key.
        *share = unsafe { weigh::<N>(scores, weights, seen.tokens, queries.scale, mask) }.recip();
    }
    for panel in 0..seen.values.count() {
        let (weights, values) = (scratch.weights.as_ptr().cast(), seen.values.panel(panel));
        // SAFETY: a row of weights has as many steps as the values; the last step is padded with 0.
        let sums: Sums<R> = unsafe { tile::<N, R>(weights, 4 * width, values, seen.values.steps()) };
        for (r, sums) in sums.into_iter().enumerate() {
            for (i, sum) in sums.into_iter().enumerate().take(VECTORS) {
                let column = panel * COLUMNS + i * 16;
                let place = queries.out.wrapping_add(r * queries.out_stride + column * N::BYTES);
                let sum = _mm512_mul_ps(sum, _mm512_set1_ps(shares[r]));
                // SAFETY: the lanes are elements of the value vector.
                unsafe { N::store(place, lanes(seen.width.saturating_sub(column)), sum) };
            }
        }
    }
}

/// Writes `e^(s − max)` of the first `keys` scores, scaled and masked, to `weights` in the kernel's element
/// type, padded with zeros. Returns the sum of the weights.
///
/// # Safety
/// The CPU must be supported, and the mask must have `keys` f32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn weigh<N: Element>(
    scores: &mut [f32],
    weights: &mut [u32],
    keys: usize,
    scale: f32,
    mask: Option<*const f32>,
) -> f32 {
    let mut most = _mm512_set1_ps(f32::NEG_INFINITY);
    for i in (0..keys).step_by(16) {
        let (place, here) = (scores[i..][..16].as_mut_ptr(), lanes(keys - i));
        // SAFETY: sixteen scores; the lanes restrict the mask to the keys.
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
        // SAFETY: `i` is a multiple of 16 below `keys`, and both rows have a multiple of 64 elements; a
        // weight has at most four bytes.
        unsafe {
            let score = _mm512_loadu_ps(scores[i..][..16].as_ptr());
            let weight = _mm512_maskz_mov_ps(lanes(keys - i), exp(_mm512_sub_ps(score, most)));
            sum = _mm512_add_ps(sum, weight);
            N::store(weights.add(i * N::BYTES), u16::MAX, weight);
        }
    }
    _mm512_reduce_add_ps(sum)
}
