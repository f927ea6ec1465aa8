//! Precision of a model's computation.

use capfilt_schemas::settings::Precision;
use tch::{Device, Kind};

use crate::weights::WeightMode;

/// Precision in which a model computes on its device; never `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DevicePrecision {
    precision: Precision,
    kind: Kind,
}

impl DevicePrecision {
    /// The precision as in the settings.
    pub fn setting(self) -> Precision {
        self.precision
    }

    /// Name in settings and messages.
    pub fn name(self) -> &'static str {
        self.precision.name()
    }

    /// dtype of the activations between layers.
    pub fn kind(self) -> Kind {
        self.kind
    }

    /// Mode in which layers of an inference model hold their weights.
    pub(crate) fn weight_mode(self) -> WeightMode {
        if self.precision == Precision::Int8 { WeightMode::Int8 } else { WeightMode::Frozen }
    }
}

/// Resolves a requested precision for a device.
///
/// # Errors
/// A sentence for the user, when the device does not support the requested precision.
pub fn resolve(precision: Precision, device: Device) -> Result<DevicePrecision, String> {
    let precision = match precision {
        Precision::Int8 if device != Device::Cpu || !capfilt_kernels::supported() => {
            let needs = "needs a CPU with AVX512-BF16 and AVX512-VNNI, and no AMX";
            return Err(format!(
                "precision int8 {needs}; on this device choose bf16, f32, or auto, which never is int8"
            ));
        }
        Precision::Auto if device.is_cuda() || cpu_multiplies_bf16() => Precision::Bf16,
        Precision::Auto => Precision::F32,
        fixed => fixed,
    };
    Ok(DevicePrecision { precision, kind: kind(precision) })
}

/// dtype of a precision's activations, regardless of the device; f32 for `auto`. The towers' products of
/// int8 are in eight bits, everything else in bf16.
pub fn kind(precision: Precision) -> Kind {
    match precision {
        Precision::Auto | Precision::F32 => Kind::Float,
        Precision::Bf16 | Precision::Int8 => Kind::BFloat16,
        Precision::F16 => Kind::Half,
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
