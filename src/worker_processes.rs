//! Command and name of the worker processes of this machine.

use crate::devices::DevicePlan;
use anyhow::anyhow;
use capfilt_console::{self as console, ExitCodeExt as _, Failure, parent, surroundings};
use capfilt_coordinator::dispatch::{local::RetryPolicy, worker_pool::WorkerPool};
use tokio::process::Command;

/// Makes a pool with one worker process of this program per device.
pub fn pool(
    job_url: &str,
    devices: &[DevicePlan],
    policy: RetryPolicy,
) -> Result<WorkerPool<impl Fn(&str, usize) -> Command>, Failure> {
    let program = std::env::current_exe()
        .map_err(|error| anyhow!("cannot find the executable of this program: {error}"))
        .or_environment_error()?;
    let (job_url, plans) = (job_url.to_owned(), devices.to_vec());
    let command = move |device: &str, index: usize| {
        let mut command = Command::new(&program);
        parent::bind(command.as_std_mut()).args(["--log-format", console::format()]);
        surroundings::hand_on(&mut command);
        let threads = &plans[index % plans.len()];
        let name = format!("{}-{index}", process_name());
        command.args(["device", "--job", &job_url, "--device", device, "--name", &name]);
        command.arg(format!("--model-threads={}", threads.model_threads));
        command.arg(format!("--decode-threads={}", threads.decode_threads));
        command.arg(format!("--memory={}", threads.memory));
        command
    };
    let devices = devices.iter().map(|plan| plan.device.clone()).collect();
    Ok(WorkerPool { devices, command, policy })
}

/// Host name and process number: enough to find the log of a shard's attempt.
pub fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
