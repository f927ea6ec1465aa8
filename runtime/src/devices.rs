//! Devices, cores and memory of this machine, and their division among worker processes.

use capfilt_blip::DeviceChoice;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::machine_memory::MachineMemory;
use capfilt_schemas::settings::{Auto, LEAST_MEMORY, Memory, Workers};

/// Device, threads and memory of one worker process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePlan {
    /// Name of the device: `cpu`, `cuda:1`.
    pub device: String,
    /// Threads that compute the models on a CPU.
    pub model_threads: usize,
    /// Threads that decode images.
    pub decode_threads: usize,
    /// Bytes of input that the process may hold in memory.
    pub memory: u64,
}

/// Devices of a job's settings, with their shares of cores and memory.
///
/// # Errors
/// When a device does not exist, or the share of memory is too small.
pub fn of_settings(workers: &Workers) -> Result<Vec<DevicePlan>, Failure> {
    let devices = devices(&workers.devices, workers.model_threads, workers.decode_threads)
        .map_err(anyhow::Error::msg)
        .or_environment_error()?;
    share_memory(devices, workers.memory).map_err(anyhow::Error::msg).or_usage_error()
}

/// Warning about settings of `[workers]` that the workers of a cluster do not receive.
pub fn not_shared(workers: &Workers) -> Option<String> {
    let auto = Workers::default();
    let set = [
        ("devices", "--device", workers.devices != auto.devices),
        ("model_threads", "--model-threads", workers.model_threads != auto.model_threads),
        ("decode_threads", "--decode-threads", workers.decode_threads != auto.decode_threads),
    ];
    let set = set.iter().filter(|(.., is_set)| *is_set);
    let named: Vec<String> = set.map(|(key, option, _)| format!("workers.{key} ({option})")).collect();
    (!named.is_empty()).then(|| {
        let named = named.join(", ");
        format!("warning: a cluster's workers take devices and threads from their options, not from {named}")
    })
}

/// Resolves the named devices and divides the cores among them.
///
/// # Errors
/// A sentence for the user when a device does not exist.
pub fn devices(
    asked: &[String],
    model_threads: Auto,
    decode_threads: Auto,
) -> Result<Vec<DevicePlan>, String> {
    let mut choices = Vec::new();
    for name in asked {
        match name.parse::<DeviceChoice>()? {
            DeviceChoice::Auto if cuda_devices() > 0 => {
                choices.extend((0..cuda_devices()).map(DeviceChoice::Cuda))
            }
            DeviceChoice::Auto => choices.push(DeviceChoice::Cpu),
            choice => choices.push(choice),
        }
    }
    for choice in &choices {
        choice.resolve()?;
    }
    let share = (cores() / choices.len().max(1)).max(1);
    let share = u32::try_from(share).unwrap_or(u32::MAX);
    // On a CPU, decoding and model threads take turns, so more threads would only wait.
    let plan = |choice: &DeviceChoice| DevicePlan {
        device: choice.to_string(),
        model_threads: model_threads.or_else(|| share) as usize,
        decode_threads: decode_threads.or_else(|| share) as usize,
        memory: LEAST_MEMORY,
    };
    share_memory(choices.iter().map(plan).collect(), Memory::Auto)
}

/// Divides the machine's memory among the devices.
///
/// # Errors
/// A sentence for the user when the share of a device is too small.
fn share_memory(mut devices: Vec<DevicePlan>, memory: Memory) -> Result<Vec<DevicePlan>, String> {
    let workers = devices.len().max(1) as u64;
    let share = match memory {
        Memory::Auto => (MachineMemory::look().bytes() / 2 / workers).max(LEAST_MEMORY),
        Memory::Fixed(bytes) if bytes.0 / workers < LEAST_MEMORY => {
            return Err(format!(
                "workers.memory is {bytes} for {workers} workers; each needs 1 GiB: set more, or \"auto\""
            ));
        }
        Memory::Fixed(bytes) => bytes.0 / workers,
    };
    devices.iter_mut().for_each(|device| device.memory = share);
    Ok(devices)
}

fn cuda_devices() -> usize {
    usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
}

/// Number of cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Per-user folder for verified copies of checkpoints.
pub(crate) fn model_cache() -> std::path::PathBuf {
    let folder =
        |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(std::path::PathBuf::from);
    let base = folder("CAPFILT_CACHE")
        .or_else(|| folder("XDG_CACHE_HOME").map(|cache| cache.join("capfilt")))
        .or_else(|| folder("HOME").map(|home| home.join(".cache/capfilt")));
    base.unwrap_or_else(|| std::env::temp_dir().join("capfilt")).join("models")
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::size::ByteSize;

    #[test]
    fn memory_is_divided_among_the_devices_and_too_little_is_refused() {
        let two = vec!["cpu".to_owned(), "cpu".to_owned()];
        let plans = devices(&two, Auto::Fixed(3), Auto::Fixed(2)).expect("two devices");
        assert_eq!(
            plans.iter().map(|plan| (plan.model_threads, plan.decode_threads)).collect::<Vec<_>>(),
            [(3, 2), (3, 2)]
        );
        let fixed = |gigabytes: u64| Memory::Fixed(ByteSize(gigabytes << 30));
        let shares = share_memory(plans.clone(), fixed(6)).expect("enough memory");
        assert_eq!(shares.iter().map(|plan| plan.memory).collect::<Vec<_>>(), [3 << 30, 3 << 30]);
        let error = share_memory(plans, fixed(1)).expect_err("half a gigabyte each");
        assert!(error.contains("for 2 workers; each needs 1 GiB"), "{error}");
    }

    #[test]
    fn an_unknown_device_is_an_error() {
        let error = devices(&["gpu".to_owned()], Auto::Auto, Auto::Auto).expect_err("no such device");
        assert!(error.contains("\"gpu\""), "{error}");
    }
}
