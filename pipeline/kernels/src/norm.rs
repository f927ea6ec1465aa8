//! Layer normalisation over the last axis, with f32 sums.

use std::arch::x86_64::*;

use tch::{Device, TchError, Tensor};

use crate::{
    element::{Element, bytes_of, with_element},
    parallel::{Shared, parallel_for},
    supported,
    tile::lanes,
};

/// Rows of one task.
const ROWS_OF_TASK: usize = 64;

/// Addresses of one call.
struct Call {
    xs: *const u8,
    weight: *const u8,
    bias: *const u8,
    out: Shared,
    width: usize,
    eps: f32,
}

// SAFETY: the addresses are only read, and `out` is shared under the rule of `Shared`.
unsafe impl Sync for Call {}

/// `(x − mean) / √(variance + eps) · weight + bias` for `xs` (…, width); the result has the shape and dtype
/// of `xs`. Returns `None` where the kernel does not apply: other devices and CPUs, dtypes other than f32 and
/// bf16, and tensors that require a gradient.
///
/// # Errors
/// Returns libtorch's errors.
pub fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Option<Tensor>, TchError> {
    let (kind, width) = (xs.kind(), xs.size().last().copied().unwrap_or(0));
    let ours = |t: &Tensor| t.kind() == kind && t.device() == Device::Cpu && !t.requires_grad();
    let fits = supported() && ours(xs) && [weight, bias].into_iter().all(|t| ours(t) && t.size() == [width]);
    let Some(bytes) = bytes_of(kind).filter(|_| fits && width > 0) else { return Ok(None) };
    let (xs, weight, bias) = (xs.f_contiguous()?, weight.f_contiguous()?, bias.f_contiguous()?);
    let out = Tensor::f_empty(xs.size(), (kind, Device::Cpu))?;
    let call = Call {
        xs: xs.data_ptr().cast_const().cast(),
        weight: weight.data_ptr().cast_const().cast(),
        bias: bias.data_ptr().cast_const().cast(),
        out: Shared::new(out.data_ptr().cast()),
        width: width as usize,
        eps: eps as f32,
    };
    let rows = xs.numel() / call.width;
    let nanoseconds = rows * call.width * bytes / 16;
    with_element!(kind, N => parallel_for(rows.div_ceil(ROWS_OF_TASK), nanoseconds, |task| {
        for row in task * ROWS_OF_TASK..((task + 1) * ROWS_OF_TASK).min(rows) {
            // SAFETY: a row of both tensors, which only this task has, on a supported CPU.
            unsafe { normalise::<N>(&call, row) };
        }
    }));
    Ok(Some(out))
}

/// # Safety
/// The CPU must be supported, the row must be readable, and no other thread may write its result.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn normalise<N: Element>(call: &Call, row: usize) {
    let first = row * call.width * N::BYTES;
    let (xs, out) = (call.xs.wrapping_add(first), call.out.at().wrapping_add(first));
    // SAFETY: only lanes of the row's elements.
    let load =
        |at: *const u8, i: usize| unsafe { N::load(at.wrapping_add(i * N::BYTES), lanes(call.width - i)) };
    let vectors = || (0..call.width).step_by(16);
    let mut sum = _mm512_setzero_ps();
    for i in vectors() {
        sum = _mm512_add_ps(sum, load(xs, i));
    }
    let mean = _mm512_set1_ps(_mm512_reduce_add_ps(sum) / call.width as f32);
    let mut squares = _mm512_setzero_ps();
    for i in vectors() {
        let apart = _mm512_maskz_sub_ps(lanes(call.width - i), load(xs, i), mean);
        squares = _mm512_fmadd_ps(apart, apart, squares);
    }
    let variance = _mm512_reduce_add_ps(squares) / call.width as f32;
    let scale = _mm512_set1_ps((variance + call.eps).sqrt().recip());
    for i in vectors() {
        let unit = _mm512_mul_ps(_mm512_sub_ps(load(xs, i), mean), scale);
        let number = _mm512_fmadd_ps(unit, load(call.weight, i), load(call.bias, i));
        // SAFETY: the same lanes.
        unsafe { N::store(out.wrapping_add(i * N::BYTES), lanes(call.width - i), number) };
    }
}
