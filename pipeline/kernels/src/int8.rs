//! Symmetric quantisation to eight bits: weights once, with one scale per output; activations at each call,
//! with one scale per row. A scale maps the largest absolute value to 127.

use std::arch::x86_64::*;

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    element::{Element, Int8},
    panels::{Panels, Rows},
    parallel::{Shared, parallel_for},
    tile::{COLUMNS, lanes},
};

/// Rows of one task.
const ROWS_OF_TASK: usize = 64;
/// Offset of quantised activations: the dot-product instruction takes unsigned rows.
const SHIFT: i32 = 128;

/// Constants that convert a layer's i32 sums to f32; one per column of the panels.
pub struct Outputs {
    /// f32 value of one unit of the sum.
    scales: Vec<f32>,
    /// Part of the sum that comes from `SHIFT`.
    shifts: Vec<i32>,
}

impl Outputs {
    /// Converts the i32 sums of sixteen columns from `column` on to f32; `scale` is that of the row.
    ///
    /// # Safety
    /// The CPU must be supported.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    pub unsafe fn widen(&self, sums: __m512, scale: f32, column: usize) -> __m512 {
        let (scales, shifts) = (&self.scales[column..][..16], &self.shifts[column..][..16]);
        // SAFETY: both slices have sixteen elements.
        let (scales, shifts) =
            unsafe { (_mm512_loadu_ps(scales.as_ptr()), _mm512_loadu_si512(shifts.as_ptr().cast())) };
        let sums = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_castps_si512(sums), shifts));
        _mm512_mul_ps(sums, _mm512_mul_ps(scales, _mm512_set1_ps(scale)))
    }
}

/// Quantised rows.
pub struct Rounded {
    pub rows: Tensor,   // (count, width), unsigned
    pub scales: Tensor, // (count), f32
}

/// Quantises and packs weights (out, in). Returns `None` if a row is not a whole number of steps.
///
/// # Errors
/// Returns libtorch's errors.
pub fn weights(weight: &Tensor) -> Result<Option<(Panels, Outputs)>, TchError> {
    let (output, input) = weight.size2()?;
    let (output, input) = (output as usize, input as usize);
    if output == 0 || input == 0 || input % 4 != 0 {
        return Ok(None);
    }
    let numbers = Vec::<f32>::try_from(weight.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?)?;
    let columns = output.next_multiple_of(COLUMNS);
    let (mut scales, mut shifts, mut rounded) =
        (vec![0.0; columns], vec![0; columns], Vec::with_capacity(numbers.len()));
    for (row, (scale, shift)) in numbers.chunks(input).zip(scales.iter_mut().zip(&mut shifts)) {
        let most = row.iter().fold(0.0_f32, |most, number| most.max(number.abs()));
        // 0.0 for a finite row, else NaN: a weight that is not finite still gives NaN results after
        // quantisation.
        let nan_if_not_finite: f32 = row.iter().map(|number| number * 0.0).sum();
        *scale = if most > 0.0 { most / 127.0 } else { 1.0 } + nan_if_not_finite;
        let eight = row.iter().map(|number| (number / *scale).round() as i8);
        *shift = SHIFT * eight.clone().map(i32::from).sum::<i32>();
        rounded.extend(eight);
    }
    let rows = Rows { at: rounded.as_ptr().cast(), count: output, width: input, stride: input };
    // SAFETY: `rounded` has these rows, each a whole number of steps.
    let panels = unsafe { Panels::of_rows::<Int8>(rows) };
    Ok(Some((panels, Outputs { scales, shifts })))
}

/// Addresses of one call.
struct Call {
    xs: *const u8,
    width: usize,
    rows: Shared,
    scales: Shared,
}

// SAFETY: `xs` is only read; `rows` and `scales` are shared under the rule of `Shared`.
unsafe impl Sync for Call {}

/// Quantises `count` rows of `width` elements at `xs`.
///
/// # Safety
/// The rows must be readable, and the CPU supported.
///
/// # Errors
/// Returns libtorch's errors.
pub unsafe fn rows<N: Element>(xs: *const u8, count: usize, width: usize) -> Result<Rounded, TchError> {
    let rounded = Rounded {
        rows: Tensor::f_empty([count as i64, width as i64], (Kind::Uint8, Device::Cpu))?,
        scales: Tensor::f_empty([count as i64], (Kind::Float, Device::Cpu))?,
    };
    let call = Call {
        xs,
        width,
        rows: Shared::new(rounded.rows.data_ptr().cast()),
        scales: Shared::new(rounded.scales.data_ptr().cast()),
    };
    parallel_for(count.div_ceil(ROWS_OF_TASK), count * width / 8, |task| {
        for row in task * ROWS_OF_TASK..((task + 1) * ROWS_OF_TASK).min(count) {
            // SAFETY: the caller guarantees the memory; no other task has the row.
            unsafe { round_row::<N>(&call, row) };
        }
    });
    Ok(rounded)
}

/// # Safety
/// The CPU must be supported, the row must be readable, and no other thread may write its result.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn round_row<N: Element>(call: &Call, row: usize) {
    let xs = call.xs.wrapping_add(row * call.width * N::BYTES);
    // SAFETY: only lanes of the row's elements.
    let load = |i: usize| unsafe { N::load(xs.wrapping_add(i * N::BYTES), lanes(call.width - i)) };
    let (mut most, mut nan_if_not_finite) = (_mm512_setzero_ps(), _mm512_setzero_ps());
    for i in (0..call.width).step_by(16) {
        most = _mm512_max_ps(most, _mm512_abs_ps(load(i)));
        // NaN if an element is not finite
        nan_if_not_finite = _mm512_fmadd_ps(load(i), _mm512_setzero_ps(), nan_if_not_finite);
    }
    let most = _mm512_reduce_max_ps(most);
    let scale = if most > 0.0 { most / 127.0 } else { 1.0 };
    let per_unit = _mm512_set1_ps(scale.recip());
    for i in (0..call.width).step_by(16) {
        let units = _mm512_cvtps_epi32(_mm512_mul_ps(load(i), per_unit));
        let shifted = _mm512_cvtusepi32_epi8(_mm512_add_epi32(units, _mm512_set1_epi32(SHIFT)));
        let place = call.rows.at().wrapping_add(row * call.width + i);
        // SAFETY: the same lanes.
        unsafe { _mm_mask_storeu_epi8(place.cast(), lanes(call.width - i), shifted) };
    }
    // SAFETY: `scales` has one f32 per row.
    unsafe { call.scales.at().cast::<f32>().add(row).write(scale + _mm512_reduce_add_ps(nan_if_not_finite)) };
}
