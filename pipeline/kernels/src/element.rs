//! Element types of the kernels: f32, bf16 with f32 sums, and int8 with i32 sums. A **step** is four bytes of
//! a row: one f32, two bf16 or four int8. One instruction adds the products of a step.

use std::arch::x86_64::*;

use tch::Kind;

/// Element type of the operands of a product, for vectors of sixteen sums. All methods need a CPU for which
/// `supported()` is true.
pub trait Operand {
    const BYTES: usize;
    /// Elements in a step.
    const PER_STEP: usize = 4 / Self::BYTES;

    /// Returns `sums + row · columns`: one step of a row (the same in all lanes) times that step of sixteen
    /// columns.
    ///
    /// # Safety
    /// The CPU must be supported.
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512;
}

/// Element type of tensors (dtype).
pub trait Element: Operand {
    /// Loads the elements at `at` whose lanes are in `mask`; other lanes are 0.
    ///
    /// # Safety
    /// The CPU must be supported, and the lanes in `mask` must be readable memory.
    unsafe fn load(at: *const u8, mask: u16) -> __m512;

    /// Rounds to the nearest and writes the lanes in `mask`.
    ///
    /// # Safety
    /// The CPU must be supported, and no other thread may use the memory of the lanes in `mask`.
    unsafe fn store(at: *mut u8, mask: u16, numbers: __m512);
}

pub struct F32;
pub struct Bf16;
/// Unsigned rows, signed columns, and i32 sums whose bits a vector of f32 carries.
pub struct Int8;

impl Operand for Int8 {
    const BYTES: usize = 1;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512 {
        _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sums), row, columns))
    }
}

impl Operand for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512 {
        _mm512_fmadd_ps(_mm512_castsi512_ps(row), _mm512_castsi512_ps(columns), sums)
    }
}

impl Element for F32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn load(at: *const u8, mask: u16) -> __m512 {
        // SAFETY: the caller guarantees it.
        unsafe { _mm512_maskz_loadu_ps(mask, at.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn store(at: *mut u8, mask: u16, numbers: __m512) {
        // SAFETY: the caller guarantees it.
        unsafe { _mm512_mask_storeu_ps(at.cast(), mask, numbers) }
    }
}

impl Operand for Bf16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512 {
        // SAFETY: both types are 64 bytes without padding.
        let as_bf16 = |bits: __m512i| unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) };
        _mm512_dpbf16_ps(sums, as_bf16(row), as_bf16(columns))
    }
}

impl Element for Bf16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn load(at: *const u8, mask: u16) -> __m512 {
        // SAFETY: the caller guarantees it. A bf16 is the upper half of an f32.
        let halves = unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn store(at: *mut u8, mask: u16, numbers: __m512) {
        let halves = _mm512_cvtneps_pbh(numbers);
        // SAFETY: both types are 32 bytes without padding; the caller guarantees the memory.
        unsafe { _mm256_mask_storeu_epi16(at.cast(), mask, std::mem::transmute::<__m256bh, __m256i>(halves)) }
    }
}

/// Runs `$body` with `$element` as the type of a tensor's dtype. Returns `None` for a dtype without a kernel.
macro_rules! with_element {
    ($kind:expr, $element:ident => $body:expr) => {
        match $kind {
            tch::Kind::Float => {
                type $element = $crate::element::F32;
                Some($body)
            }
            tch::Kind::BFloat16 => {
                type $element = $crate::element::Bf16;
                Some($body)
            }
            _ => None,
        }
    };
}
pub(crate) use with_element;

/// Bytes of an element; `None` for a dtype without a kernel.
pub fn bytes_of(kind: Kind) -> Option<usize> {
    with_element!(kind, N => N::BYTES)
}
