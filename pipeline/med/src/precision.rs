//! In which numbers a model computes.

use std::{fmt, str::FromStr};

use tch::{Device, Kind};

/// What a model computes in. Scores leave in f32 whatever this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    F32,
    Bf16,
    F16,
}

/// A wish for a precision, as a user writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PrecisionChoice {
    /// bf16 where the hardware multiplies it natively (CUDA, AVX512-BF16), else f32.
    #[default]
    Auto,
    Fixed(Precision),
}

impl Precision {
    /// Its name in settings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// libtorch's name for it.
    pub fn kind(self) -> Kind {
        match self {
            Self::F32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::F16 => Kind::Half,
        }
    }
}

impl PrecisionChoice {
    /// The precision for this device.
    pub fn resolve(self, device: Device) -> Precision {
        match self {
            Self::Fixed(precision) => precision,
            Self::Auto if device.is_cuda() || cpu_multiplies_bf16() => Precision::Bf16,
            Self::Auto => Precision::F32,
        }
    }
}

/// Whether this CPU has bf16 dot products. Every x86 CPU with AMX-BF16 has AVX512-BF16 too, so one test is enough.
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
            _ => Err(format!("precision is {text:?}, expected f32, bf16, f16 or auto")),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
