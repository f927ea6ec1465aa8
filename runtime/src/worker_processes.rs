//! Command and name of the worker processes of this machine.

use crate::devices::DevicePlan;
use capfilt_console::{self as console, ExitCodeExt as _, Failure, parent, surroundings};
use capfilt_coordinator::dispatch::{local::RetryPolicy, worker_pool::WorkerPool};
use std::path::Path;
use tokio::process::Command;

/// Makes a pool with one worker process of this program per device.
///
/// # Errors
/// When the path of the program is unknown.
pub fn pool(
    job_url: &str,
    devices: &[DevicePlan],
    policy: RetryPolicy,
) -> Result<WorkerPool<impl Fn(&str, usize) -> Command + use<>>, Failure> {
    let program = console::own_program().or_environment_error()?;
    let (job_url, plans) = (job_url.to_owned(), devices.to_vec());
    let command = move |device: &str, index: usize| {
        let plan = DevicePlan { device: device.to_owned(), ..plans[index % plans.len()].clone() };
        command(&program, &job_url, &plan, &format!("{}-{index}", process_name()))
    };
    let devices = devices.iter().map(|plan| plan.device.clone()).collect();
    Ok(WorkerPool { devices, command, policy })
}

/// Command of a worker process for a job. `name`: name of the process in commits and failure records.
pub(crate) fn command(program: &Path, job_url: &str, plan: &DevicePlan, name: &str) -> Command {
    let mut command = Command::new(program);
    parent::bind(command.as_std_mut()).args(["--log-format", console::format()]);
    surroundings::hand_on(&mut command);
    command.args(["device", "--job", job_url, "--device", &plan.device, "--name", name]);
    command.arg(format!("--model-threads={}", plan.model_threads));
    command.arg(format!("--decode-threads={}", plan.decode_threads));
    command.arg(format!("--memory={}", plan.memory));
    command
}

/// Host name and process number: enough to find the log of a shard's attempt.
pub fn process_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}
