//! Precision of a model's computation.

use std::{fmt, str::FromStr};

use tch::{Device, Kind};

use crate::weights::WeightMode;

/// Precision of a model. Scores are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    Bf16,
    F16,
    /// The towers' products in int8, everything else in bf16; only on CPUs with the instructions for int8.
    Int8,
}

/// A requested precision, as in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrecisionChoice {
    /// bf16 where the hardware multiplies it natively (CUDA, AVX512-BF16), else f32.
    #[default]
    Auto,
    Fixed(Precision),
}

impl Precision {
    /// Name in settings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// dtype of the activations between layers.
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 | Self::Int8 => Kind::BFloat16,
            Self::F16 => Kind::Half,
        }
    }
}

impl Precision {
    /// Mode in which layers of an inference model hold their weights.
    pub(crate) fn weight_mode(self) -> WeightMode {
        if self == Self::Int8 { WeightMode::Int8 } else { WeightMode::Frozen }
    }
}

impl PrecisionChoice {
    /// Resolves the request for a device.
    ///
    /// # Errors
    /// A sentence for the user, when the device does not support the requested precision.
    pub fn resolve(self, device: Device) -> Result<Precision, String> {
        match self {
            Self::Fixed(Precision::Int8) if device != Device::Cpu || !capfilt_kernels::supported() => {
                let needs = "needs a CPU with AVX512-BF16 and AVX512-VNNI, and no AMX";
                Err(format!(
                    "precision int8 {needs}; on this device choose bf16, f32, or auto, which never is int8"
                ))
            }
            Self::Fixed(precision) => Ok(precision),
            Self::Auto if device.is_cuda() || cpu_multiplies_bf16() => Ok(Precision::Bf16),
            Self::Auto => Ok(Precision::F32),
        }
    }
}

/// Whether this CPU has bf16 dot products. Every x86 CPU with AMX-BF16 also has AVX512-BF16, so one test is
/// enough.
fn cpu_multiplies_bf16() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::arch::is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

impl FromStr for PrecisionChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "f32" => Ok(Self::Fixed(Precision::F32)),
            "bf16" => Ok(Self::Fixed(Precision::Bf16)),
            "f16" => Ok(Self::Fixed(Precision::F16)),
            "int8" => Ok(Self::Fixed(Precision::Int8)),
            _ => Err(format!("precision is {text:?}, expected f32, bf16, f16, int8 or auto")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
