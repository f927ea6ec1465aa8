#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

use tch::Tensor;

#[cfg(target_arch = "x86_64")]
mod attention;
#[cfg(target_arch = "x86_64")]
mod curves;
#[cfg(target_arch = "x86_64")]
mod heads;
#[cfg(target_arch = "x86_64")]
mod int8;
#[cfg(target_arch = "x86_64")]
mod linear;
#[cfg(target_arch = "x86_64")]
mod norm;
#[cfg(target_arch = "x86_64")]
mod numbers;
#[cfg(target_arch = "x86_64")]
mod panels;
#[cfg(target_arch = "x86_64")]
mod share;
#[cfg(target_arch = "x86_64")]
mod sight;
#[cfg(target_arch = "x86_64")]
mod tile;

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere;

#[cfg(not(target_arch = "x86_64"))]
pub use elsewhere::{PackedLinear, PackedSight, PackedStates, attend, layer_norm};
#[cfg(target_arch = "x86_64")]
pub use {
    heads::attend,
    linear::PackedLinear,
    norm::layer_norm,
    sight::{PackedSight, PackedStates},
};

/// What is done to a linear layer's result before it is rounded and written.
#[derive(Clone, Copy)]
pub enum Then<'a> {
    Nothing,
    /// The exact (erf) GELU.
    Gelu,
    /// This is added, of the result's shape: a residual.
    Add(&'a Tensor),
}

/// Whether this CPU is one the kernels are for: with AVX512-BF16, and without AMX, whose bf16 products
/// libtorch knows how to use.
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

/// Whether this CPU is one the kernels are for.
#[cfg(not(target_arch = "x86_64"))]
pub fn supported() -> bool {
    false
}
