#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use tch::Tensor;

#[cfg(target_arch = "x86_64")]
mod activations;
#[cfg(target_arch = "x86_64")]
mod attention;
#[cfg(target_arch = "x86_64")]
mod cross_attention;
#[cfg(target_arch = "x86_64")]
mod element;
#[cfg(target_arch = "x86_64")]
mod heads;
#[cfg(target_arch = "x86_64")]
mod int8;
#[cfg(target_arch = "x86_64")]
mod linear;
#[cfg(target_arch = "x86_64")]
mod norm;
#[cfg(target_arch = "x86_64")]
mod panels;
#[cfg(target_arch = "x86_64")]
mod parallel;
#[cfg(target_arch = "x86_64")]
mod tile;

#[cfg(not(target_arch = "x86_64"))]
mod unsupported;

#[cfg(not(target_arch = "x86_64"))]
pub use unsupported::{PackedCrossAttention, PackedLinear, PackedStates, attend, layer_norm};
#[cfg(target_arch = "x86_64")]
pub use {
    cross_attention::{PackedCrossAttention, PackedStates},
    heads::attend,
    linear::PackedLinear,
    norm::layer_norm,
};

/// Operation on the result of a linear layer before the result is rounded and written.
#[derive(Clone, Copy)]
pub enum Epilogue<'a> {
    /// The product and bias alone.
    Nothing,
    /// The exact (erf) GELU.
    Gelu,
    /// Adds a tensor of the result's shape: a residual.
    Add(&'a Tensor),
}

/// Whether the kernels run on this CPU: it has AVX512-BF16 and not AMX. With AMX, libtorch uses AMX for bf16
/// products.
#[cfg(target_arch = "x86_64")]
pub fn supported() -> bool {
    use std::{arch::x86_64::__cpuid_count, sync::LazyLock};

    static SUPPORTED: LazyLock<bool> = LazyLock::new(|| {
        let vectors = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx512bf16");
        vectors && __cpuid_count(7, 0).edx & (1 << 22) == 0
    });
    *SUPPORTED
}

/// Whether the kernels run on this CPU.
#[cfg(not(target_arch = "x86_64"))]
pub fn supported() -> bool {
    false
}
