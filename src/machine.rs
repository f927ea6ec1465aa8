//! What this machine has, and how a job's work is spread over it.

use capfilt_med::DeviceChoice;
use capfilt_schemas::settings::Auto;

/// One worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    pub device: String,
    pub model_threads: usize,
    pub decode_threads: usize,
}

/// The devices that are asked for, with the cores shared out among them.
///
/// # Errors
/// A sentence for the user when a device is not there.
pub fn devices(asked: &[String], model_threads: Auto, decode_threads: Auto) -> Result<Vec<DevicePlan>, String> {
    let mut choices = Vec::new();
    for name in asked {
        match name.parse::<DeviceChoice>()? {
            DeviceChoice::Auto if cuda_devices() > 0 => choices.extend((0..cuda_devices()).map(DeviceChoice::Cuda)),
            DeviceChoice::Auto => choices.push(DeviceChoice::Cpu),
            choice => choices.push(choice),
        }
    }
    for choice in &choices {
        choice.resolve()?;
    }
    let share = (cores() / choices.len().max(1)).max(1);
    let share = u32::try_from(share).unwrap_or(u32::MAX);
    // On a CPU the decoder's threads take turns with the model's; more would only wait.
    let plan = |choice: &DeviceChoice| DevicePlan {
        device: choice.to_string(),
        model_threads: model_threads.or_else(|| share) as usize,
        decode_threads: decode_threads.or_else(|| share) as usize,
    };
    Ok(choices.iter().map(plan).collect())
}

fn cuda_devices() -> usize {
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The per-user folder for verified copies of checkpoints.
pub fn model_cache() -> std::path::PathBuf {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(std::path::PathBuf::from);
    let base = folder("CAPFILT_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("capfilt")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/capfilt")));
    base.unwrap_or_else(|| std::env::temp_dir().join("capfilt")).join("models")
}
