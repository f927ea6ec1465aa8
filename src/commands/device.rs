//! `capfilt device`: the worker process of one device, which its parent process controls through pipes.

use crate::args::DeviceArgs;
use capfilt_console::{Ending, Exit};
use capfilt_runtime::device_process::{self, DeviceProcess};

pub async fn run(args: DeviceArgs) -> Ending {
    let DeviceArgs { job, device, name, model_threads, decode_threads, memory } = args;
    let process = DeviceProcess { job, device, name, model_threads, decode_threads, memory };
    device_process::run(&process).await?;
    Ok(Exit::Done)
}
