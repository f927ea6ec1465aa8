//! Rounding to eight bits: weights once, by output; what they are multiplied by whenever it comes, by row.
//! Each has a scale that takes its largest number to 127.

use std::arch::x86_64::*;

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    numbers::{Int8, Numbers},
    panels::{Panels, Rows},
    share::{Shared, share},
    tile::{COLUMNS, lanes},
};

/// Rows that one task takes.
const ROWS_OF_TASK: usize = 64;
/// What is added to a row's numbers, as the instruction takes them unsigned.
const SHIFT: i32 = 128;

/// What a layer's outputs need to become numbers again; as many of each as the panels have columns.
pub struct Outputs {
    /// A unit of the sum.
    scales: Vec<f32>,
    /// What the rows' shift has added to the sum.
    shifts: Vec<i32>,
}

impl Outputs {
    /// Sums of sixteen columns from `column` on, of a row with this scale, as the numbers they stand for.
    ///
    /// # Safety
    /// The CPU must be supported.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    pub unsafe fn widen(&self, sums: __m512, scale: f32, column: usize) -> __m512 {
        let (scales, shifts) = (&self.scales[column..][..16], &self.shifts[column..][..16]);
        // SAFETY: sixteen numbers each.
        let (scales, shifts) =
            unsafe { (_mm512_loadu_ps(scales.as_ptr()), _mm512_loadu_si512(shifts.as_ptr().cast())) };
        let sums = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_castps_si512(sums), shifts));
        _mm512_mul_ps(sums, _mm512_mul_ps(scales, _mm512_set1_ps(scale)))
    }
}

/// Rows in eight bits.
pub struct Rounded {
    pub rows: Tensor,   // (count, width), unsigned
    pub scales: Tensor, // (count), f32
}

/// Weights (out, in) in panels. `None` where a row is no whole number of steps.
///
/// # Errors
/// libtorch's.
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
        // NaN once a weight is no number, so that its results are none either.
        let none: f32 = row.iter().map(|number| number * 0.0).sum();
        *scale = if most > 0.0 { most / 127.0 } else { 1.0 } + none;
        let eight = row.iter().map(|number| (number / *scale).round() as i8);
        *shift = SHIFT * eight.clone().map(i32::from).sum::<i32>();
        rounded.extend(eight);
    }
    let rows = Rows { at: rounded.as_ptr().cast(), count: output, width: input, stride: input };
    // SAFETY: rows of `rounded`, of whole steps.
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

// SAFETY: `xs` is read only, and the others are shared by their own rule.
unsafe impl Sync for Call {}

/// Rounds `count` rows of `width` numbers from `xs` on.
///
/// # Safety
/// They must be readable, and the CPU supported.
///
/// # Errors
/// libtorch's.
pub unsafe fn rows<N: Numbers>(xs: *const u8, count: usize, width: usize) -> Result<Rounded, TchError> {
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
    share(count.div_ceil(ROWS_OF_TASK), count * width / 8, |task| {
        for row in task * ROWS_OF_TASK..((task + 1) * ROWS_OF_TASK).min(count) {
            // SAFETY: the caller's promise; no other task has the row.
            unsafe { round_row::<N>(&call, row) };
        }
    });
    Ok(rounded)
}

/// # Safety
/// The CPU must be supported, the row must be there, and nobody else may write its result.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn round_row<N: Numbers>(call: &Call, row: usize) {
    let xs = call.xs.wrapping_add(row * call.width * N::BYTES);
    // SAFETY: only lanes of the row's own numbers.
    let load = |i: usize| unsafe { N::load(xs.wrapping_add(i * N::BYTES), lanes(call.width - i)) };
    let (mut most, mut none) = (_mm512_setzero_ps(), _mm512_setzero_ps());
    for i in (0..call.width).step_by(16) {
        most = _mm512_max_ps(most, _mm512_abs_ps(load(i)));
        none = _mm512_fmadd_ps(load(i), _mm512_setzero_ps(), none); // NaN once a number is none
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
    // SAFETY: a number a row.
    unsafe { call.scales.at().cast::<f32>().add(row).write(scale + _mm512_reduce_add_ps(none)) };
}
