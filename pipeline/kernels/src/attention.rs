//! `softmax(q kᵀ / √d) v` over all keys, a head and six queries at a time: their scores lie in the first cache.

use std::arch::x86_64::*;

use tch::{Device, TchError, Tensor};

use crate::{
    curves::exp,
    numbers::{Numbers, bytes_of, with_numbers},
    panels::{Panels, Rows},
    share::{Shared, share},
    supported,
    tile::{COLUMNS, ROWS, Sums, VECTORS, by_rows, lanes, tile},
};

/// Queries, keys and values as one linear layer gives them, and where the result goes.
struct Joined {
    at: *const u8,
    out: Shared,
    tokens: usize,
    heads: usize,
    /// Numbers in a head.
    d: usize,
}

// SAFETY: `at` is read only, and `out` is shared by its own rule.
unsafe impl Sync for Joined {}

/// What the rows of one head share, and their scores and weights.
struct Head {
    keys: Panels,
    values: Panels,
    scores: Vec<f32>,  // (six queries, keys to whole panels)
    weights: Vec<u32>, // (six queries, keys to whole panels), in the kernel's numbers, from the start of a row
}

/// `qkv`: (rows, tokens, 3, heads, d), every token looking at all of its row -> (rows, tokens, heads × d). `None` where the
/// kernel has no use for it: on other devices and CPUs, in other numbers than f32 and bf16, for heads of an odd number or more than
/// 64, and where a graph is to be differentiated.
///
/// # Errors
/// libtorch's.
pub fn attend_joined(qkv: &Tensor) -> Result<Option<Tensor>, TchError> {
    let (rows, tokens, three, heads, d) = qkv.size5()?;
    let fits = three == 3 && d % 2 == 0 && (2..=COLUMNS as i64).contains(&d) && rows * tokens * heads > 0;
    let here = qkv.device() == Device::Cpu && !qkv.requires_grad() && supported();
    if !(fits && here && bytes_of(qkv.kind()).is_some()) {
        return Ok(None);
    }
    let qkv = qkv.f_contiguous()?;
    let out = Tensor::f_empty([rows, tokens, heads * d], (qkv.kind(), Device::Cpu))?;
    let joined = Joined {
        at: qkv.data_ptr().cast_const().cast(),
        out: Shared::new(out.data_ptr().cast()),
        tokens: tokens as usize,
        heads: heads as usize,
        d: d as usize,
    };
    let tasks = (rows * heads) as usize;
    with_numbers!(qkv.kind(), N => share(tasks, |task| joined.head::<N>(task / heads as usize, task % heads as usize)));
    Ok(Some(out))
}

impl Joined {
    /// Rows of queries (0), keys (1) or values (2).
    fn part<N: Numbers>(&self, row: usize, head: usize, part: usize) -> Rows {
        let token = 3 * self.heads * self.d;
        let first = row * self.tokens * token + (part * self.heads + head) * self.d;
        let at = self.at.wrapping_add(first * N::BYTES);
        Rows { at, count: self.tokens, width: self.d, stride: token * N::BYTES }
    }

    fn head<N: Numbers>(&self, row: usize, head: usize) {
        let queries = self.part::<N>(row, head, 0);
        // SAFETY: parts of a contiguous tensor.
        let (keys, values) = unsafe {
            let (keys, values) = (self.part::<N>(row, head, 1), self.part::<N>(row, head, 2));
            (Panels::of_rows::<N>(keys), Panels::of_columns::<N>(values))
        };
        let width = keys.count() * COLUMNS;
        let mut head_of = Head { keys, values, scores: vec![0.0; ROWS * width], weights: vec![0; ROWS * width] };
        for first in (0..self.tokens).step_by(ROWS) {
            let out = ((row * self.tokens + first) * self.heads + head) * self.d * N::BYTES;
            let (at, out) = (queries.at.wrapping_add(first * queries.stride), self.out.at().wrapping_add(out));
            // SAFETY: `attend_joined` asked for a supported CPU; those queries are there, and their outputs are this task's.
            unsafe { by_rows!(self.tokens - first, look::<N>(self, &mut head_of, at, out)) };
        }
    }
}

/// `R` queries from `at` on, whose results go to `out` on.
///
/// # Safety
/// The CPU must be supported, the queries must be there, and nobody else may write their results.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn look<N: Numbers, const R: usize>(joined: &Joined, head: &mut Head, at: *const u8, out: *mut u8) {
    let (token, width) = (joined.heads * joined.d * N::BYTES, head.keys.count() * COLUMNS);
    for panel in 0..head.keys.count() {
        // SAFETY: a query has `d` numbers, and as many steps as the keys' panels.
        let scores: Sums<R> = unsafe { tile::<N, R>(at, 3 * token, head.keys.panel(panel), head.keys.steps()) };
        for (r, scores) in scores.into_iter().enumerate() {
            for (i, scores) in scores.into_iter().enumerate() {
                let place = &mut head.scores[r * width + panel * COLUMNS + i * 16..][..16];
                // SAFETY: sixteen numbers.
                unsafe { _mm512_storeu_ps(place.as_mut_ptr(), scores) };
            }
        }
    }
    let scale = (joined.d as f32).sqrt().recip();
    let mut shares = [0.0; R];
    for (r, share) in shares.iter_mut().enumerate() {
        let (scores, weights) = (&head.scores[r * width..][..width], &mut head.weights[r * width..][..width]);
        // SAFETY: the CPU is supported.
        *share = unsafe { weigh::<N>(scores, weights, joined.tokens, scale) }.recip();
    }
    // SAFETY: a row of weights has a step for each of the values' panel, the last filled up with 0.
    let seen: Sums<R> =
        unsafe { tile::<N, R>(head.weights.as_ptr().cast(), 4 * width, head.values.panel(0), head.values.steps()) };
    for (r, seen) in seen.into_iter().enumerate() {
        for (i, seen) in seen.into_iter().enumerate().take(VECTORS) {
            let place = out.wrapping_add(r * token + i * 16 * N::BYTES);
            // SAFETY: the lanes of the head's own numbers.
            unsafe { N::store(place, lanes(i, joined.d), _mm512_mul_ps(seen, _mm512_set1_ps(shares[r]))) };
        }
    }
}

/// `e^(scale (s − most))` of the first `keys` scores, in the kernel's numbers and followed by zeros; returns their sum.
///
/// # Safety
/// The CPU must be supported.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
unsafe fn weigh<N: Numbers>(scores: &[f32], weights: &mut [u32], keys: usize, scale: f32) -> f32 {
    // SAFETY: `i` is a multiple of 16 below `keys`, and both rows go on to a multiple of 64.
    let scores = |i: usize| unsafe { _mm512_loadu_ps(scores[i..][..16].as_ptr()) };
    let mut most = _mm512_set1_ps(f32::NEG_INFINITY);
    for i in (0..keys).step_by(16) {
        most = _mm512_mask_max_ps(most, lanes(0, keys - i), most, scores(i));
    }
    let most = _mm512_set1_ps(_mm512_reduce_max_ps(most));
    let mut sum = _mm512_setzero_ps();
    let weights: *mut u8 = weights.as_mut_ptr().cast();
    for i in (0..keys).step_by(16) {
        // SAFETY: as above; a row of weights has four bytes a key.
        unsafe {
            let weight = exp(_mm512_mul_ps(_mm512_sub_ps(scores(i), most), _mm512_set1_ps(scale)));
            let weight = _mm512_maskz_mov_ps(lanes(0, keys - i), weight);
            sum = _mm512_add_ps(sum, weight);
            N::store(weights.add(i * N::BYTES), u16::MAX, weight);
        }
    }
    _mm512_reduce_add_ps(sum)
}
