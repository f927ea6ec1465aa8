//! What the kernels compute in: f32, bf16 with sums in f32, or eight bits with whole sums. A **step** is four
//! bytes of a row: one f32, or two bf16 or four of eight bits, whose products an instruction adds up at once.

use std::arch::x86_64::*;

use tch::Kind;

/// What is multiplied, as vectors of sixteen sums see it. All methods need a CPU on which `supported()`
/// holds.
pub trait Factors {
    const BYTES: usize;
    /// Numbers in a step.
    const PER_STEP: usize = 4 / Self::BYTES;

    /// `sums + row · columns`, a step of a row (the same in all lanes) by that step of sixteen columns.
    ///
    /// # Safety
    /// The CPU must have the instructions.
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512;
}

/// Factors that are numbers of a tensor.
pub trait Numbers: Factors {
    /// The numbers at `at` whose lanes are in `mask`, 0 elsewhere.
    ///
    /// # Safety
    /// The CPU must have the instructions, and those lanes must be readable memory.
    unsafe fn load(at: *const u8, mask: u16) -> __m512;

    /// Rounds to the nearest and writes the lanes in `mask`.
    ///
    /// # Safety
    /// The CPU must have the instructions, and those lanes must be memory that nothing else uses meanwhile.
    unsafe fn store(at: *mut u8, mask: u16, numbers: __m512);
}

pub struct F32;
pub struct Bf16;
/// Rows unsigned, columns signed, and sums whole numbers whose bits a vector of f32 carries.
pub struct Int8;

impl Factors for Int8 {
    const BYTES: usize = 1;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512 {
        _mm512_castsi512_ps(_mm512_dpbusd_epi32(_mm512_castps_si512(sums), row, columns))
    }
}

impl Factors for F32 {
    const BYTES: usize = 4;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512 {
        _mm512_fmadd_ps(_mm512_castsi512_ps(row), _mm512_castsi512_ps(columns), sums)
    }
}

impl Numbers for F32 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn load(at: *const u8, mask: u16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_maskz_loadu_ps(mask, at.cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn store(at: *mut u8, mask: u16, numbers: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_mask_storeu_ps(at.cast(), mask, numbers) }
    }
}

impl Factors for Bf16 {
    const BYTES: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn dot(sums: __m512, row: __m512i, columns: __m512i) -> __m512 {
        // SAFETY: both types are 64 bytes without any that mean nothing.
        let as_bf16 = |bits: __m512i| unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) };
        _mm512_dpbf16_ps(sums, as_bf16(row), as_bf16(columns))
    }
}

impl Numbers for Bf16 {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn load(at: *const u8, mask: u16) -> __m512 {
        // SAFETY: the caller's promise. A bf16 is the upper half of an f32.
        let halves = unsafe { _mm256_maskz_loadu_epi16(mask, at.cast()) };
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    unsafe fn store(at: *mut u8, mask: u16, numbers: __m512) {
        let halves = _mm512_cvtneps_pbh(numbers);
        // SAFETY: both types are 32 bytes without any that mean nothing; and the caller's promise.
        unsafe { _mm256_mask_storeu_epi16(at.cast(), mask, std::mem::transmute::<__m256bh, __m256i>(halves)) }
    }
}

/// Runs `$body` with `$numbers` standing for the type of a tensor's kind, or gives `None`.
macro_rules! with_numbers {
    ($kind:expr, $numbers:ident => $body:expr) => {
        match $kind {
            tch::Kind::Float => {
                type $numbers = $crate::numbers::F32;
                Some($body)
            }
            tch::Kind::BFloat16 => {
                type $numbers = $crate::numbers::Bf16;
                Some($body)
            }
            _ => None,
        }
    };
}
pub(crate) use with_numbers;

/// Bytes of a number of a kind the kernels know.
pub fn bytes_of(kind: Kind) -> Option<usize> {
    with_numbers!(kind, N => N::BYTES)
}
