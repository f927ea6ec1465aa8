//! Choice of the batch size when `workers.batch` is `auto`: by a trial on a GPU, a constant on a CPU.

use crate::devices::DevicePlan;
use anyhow::{Context as _, ensure};
use capfilt_console::{self as console, ExitCodeExt as _, Failure, parent};
use capfilt_schemas::settings::{Auto, Settings};
use serde::Serialize;
use std::{fmt, path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

/// Batch sizes that are tried on a GPU, in images per model call.
pub const BATCH_SIZES: [u32; 6] = [16, 32, 64, 128, 256, 512];

/// Batch size on a CPU. At 8 images the decoder's weight reads are amortised; larger batches gain little, and
/// more captions wait for the longest one.
const ON_CPU: u32 = 8;
/// Least speed-up of a larger batch over a smaller one that justifies its memory and the longer wait.
const WORTH_IT: f64 = 1.03;

/// Limit of a trial, including the time to load the models.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(1800);

/// The settings as the user named them; the process of a trial reads them again.
#[derive(Debug, Clone, Copy)]
pub struct SettingsFile<'a> {
    /// Path of the file.
    pub path: &'a Path,
    /// Overrides of the command line, `section.key=value` each.
    pub overrides: &'a [String],
}

/// Result of the trial of one batch size.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Tried {
    /// Images per model call.
    pub batch: u32,
    /// `None` if the batch exceeded the device's memory.
    pub images_per_second: Option<f64>,
}

impl fmt::Display for Tried {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.images_per_second {
            Some(speed) => write!(out, "{:5} images: {speed:9.2} images/s", self.batch),
            None => write!(out, "{:5} images: more than the device's memory", self.batch),
        }
    }
}

/// Selects the smallest size that is about as fast as the fastest. Texts of a job can be longer than the
/// texts of the trial, so a size counts only if twice as many images did not exhaust the memory.
pub fn best(tried: &[Tried]) -> Option<u32> {
    let ran_out = tried.iter().find(|one| one.images_per_second.is_none()).map(|one| one.batch);
    let mut best: Option<(u32, f64)> = None;
    for one in tried {
        let Some(speed) = one.images_per_second else { break };
        let roomy = ran_out.is_none_or(|ran_out| 2 * one.batch < ran_out);
        if best.is_none_or(|(_, fastest)| roomy && speed > fastest * WORTH_IT) {
            best = Some((one.batch, speed));
        }
    }
    best.map(|(batch, _)| batch)
}

/// Chooses the batch size of a new job on these devices.
///
/// # Errors
/// When the models do not load or compute on the device; the trial's process writes the reason to standard
/// error.
pub async fn choose(
    file: SettingsFile<'_>,
    settings: &Settings,
    devices: &[DevicePlan],
) -> Result<u32, Failure> {
    let device = devices.first().map_or("cpu", |plan| plan.device.as_str());
    match settings.workers.batch {
        Auto::Fixed(batch) => Ok(batch),
        Auto::Auto if device.starts_with("cuda") => try_apart(file, device).await.or_environment_error(),
        Auto::Auto => Ok(ON_CPU),
    }
}

/// Runs the trial in a separate process, so that its device memory is free before the workers start.
async fn try_apart(file: SettingsFile<'_>, device: &str) -> anyhow::Result<u32> {
    console::line(format!(
        "trying batch sizes on {device} after loading the models (workers.batch is \"auto\")"
    ));
    let mut command = Command::new(console::own_program()?);
    parent::bind(command.as_std_mut());
    command.args(["bench", "batch", "--json", "--device", device, "--config"]).arg(file.path);
    file.overrides.iter().for_each(|entry| {
        command.args(["--set", entry]);
    });
    let output = command.stderr(Stdio::inherit()).kill_on_drop(true).output();
    let output = tokio::time::timeout(TRIAL_TIMEOUT, output).await;
    let output = output.with_context(|| {
        let limit = TRIAL_TIMEOUT.as_secs();
        format!("the trial of batch sizes on {device} did not end within {limit} s; set workers.batch")
    })?;
    let output = output.context("cannot start the process of the trial")?;
    ensure!(output.status.success(), "no batch size fits {device}: see above, or set workers.batch");
    let found: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cannot read the result of the trial")?;
    let batch = found["batch"]
        .as_u64()
        .and_then(|batch| batch.try_into().ok())
        .context("the result of the trial has no batch size")?;
    console::line(format!("batch {batch}"));
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(speeds: &[f64]) -> Vec<Tried> {
        let one = |(batch, speed): (u32, &f64)| Tried {
            batch,
            images_per_second: (*speed > 0.0).then_some(*speed),
        };
        BATCH_SIZES.into_iter().zip(speeds).map(one).collect()
    }

    #[test]
    fn the_smallest_size_that_is_about_as_fast_as_the_fastest_is_best() {
        assert_eq!(best(&tried(&[500.0, 800.0, 990.0, 1000.0, 1010.0, 900.0])), Some(64));
        assert_eq!(best(&tried(&[500.0, 800.0, 990.0, 1000.0, 1100.0, 1200.0])), Some(512));
    }

    #[test]
    fn a_size_counts_only_when_twice_as_many_images_fit() {
        assert_eq!(best(&tried(&[500.0, 800.0, 990.0, 1500.0, 0.0])), Some(64));
        assert_eq!(best(&tried(&[500.0, 800.0, 0.0])), Some(16));
        assert_eq!(best(&tried(&[500.0, 0.0])), Some(16));
        assert_eq!(best(&tried(&[0.0])), None);
    }
}
