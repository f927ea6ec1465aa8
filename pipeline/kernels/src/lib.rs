#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod cpu;
mod libtorch;

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

pub use cpu::{features, supported};
pub use libtorch::version as libtorch_version;
use tch::Tensor;
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
