//! Device of a model: `cpu`, `cuda`, `cuda:N` or `auto`.

use std::{fmt, str::FromStr};

/// A requested device, as in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device if there is one, else the CPU.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl DeviceChoice {
    /// Resolves the request.
    ///
    /// # Errors
    /// A sentence for the user, when this machine or this libtorch does not have the CUDA device.
    pub fn resolve(self) -> Result<tch::Device, String> {
        let devices = tch::Cuda::device_count().max(0) as usize;
        match self {
            Self::Cpu => Ok(tch::Device::Cpu),
            Self::Auto if devices > 0 => Ok(tch::Device::Cuda(0)),
            Self::Auto => Ok(tch::Device::Cpu),
            Self::Cuda(n) if n < devices => Ok(tch::Device::Cuda(n)),
            Self::Cuda(n) => Err(format!(
                "cuda:{n} was asked for, but libtorch sees {devices} CUDA devices; `capfilt --version` \
                prints whether this libtorch has CUDA and whether the machine has an NVIDIA driver"
            )),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| format!("device is {text:?}, expected cpu, cuda, cuda:N or auto")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_as_users_write_them() {
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert!("gpu".parse::<DeviceChoice>().unwrap_err().contains("cuda:N"));
    }
}
