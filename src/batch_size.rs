//! How many images a model call takes when the settings leave it open: on a GPU it is tried, on a CPU it is
//! known.

use crate::{
    args::SettingsArgs,
    console,
    devices::DevicePlan,
    exit::{ExitCodeExt as _, Failure},
    parent,
};
use anyhow::{Context as _, ensure};
use capfilt_schemas::settings::{Auto, Settings};
use std::time::Duration;
use tokio::process::Command;

/// On a CPU: from eight images on, a caption's weights are read for so many that more are hardly faster, and
/// few wait for the last.
const ON_CPU: u32 = 8;
/// A larger batch has to be this much faster than a smaller one to be worth its memory and the longer wait.
const WORTH_IT: f64 = 1.03;

/// The longest trial, loading the models included.
const PATIENCE: Duration = Duration::from_secs(1800);

/// One size, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    pub batch: u32,
    /// None when the device's memory did not suffice.
    pub images_per_second: Option<f64>,
}

/// The smallest size that is about as fast as the fastest. Texts of a job can be longer than those that were
/// tried, so a size beyond which memory ran out does not count: twice as many images must have fitted too.
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

/// The batch that a new job gets on such devices.
///
/// # Errors
/// When the models do not load or compute on the device; its own words are on standard error.
pub async fn choose(
    args: &SettingsArgs,
    settings: &Settings,
    devices: &[DevicePlan],
) -> Result<u32, Failure> {
    let device = devices.first().map_or("cpu", |plan| plan.device.as_str());
    match settings.workers.batch {
        Auto::Fixed(batch) => Ok(batch),
        Auto::Auto if device.starts_with("cuda") => try_apart(args, device).await.or_environment_error(),
        Auto::Auto => Ok(ON_CPU),
    }
}

/// In a process of its own, which gives the device's memory back before the workers want it.
async fn try_apart(args: &SettingsArgs, device: &str) -> anyhow::Result<u32> {
    console::line(format!(
        "trying batches on {device}, once the models are loaded (workers.batch is \"auto\")"
    ));
    let mut command = Command::new(std::env::current_exe().context("this program cannot find itself")?);
    parent::bind(command.as_std_mut());
    command.args(["bench", "batch", "--json", "--device", device, "--config"]).arg(&args.config);
    args.overrides.iter().for_each(|entry| {
        command.args(["--set", entry]);
    });
    let output = command.stderr(std::process::Stdio::inherit()).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, output).await;
    let output = output.with_context(|| format!("the trial on {device} does not end; set workers.batch"))?;
    let output = output.context("the trial's process does not start")?;
    ensure!(output.status.success(), "no batch fits {device}: see above, or set workers.batch");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).context("the trial's answer")?;
    let batch = found["batch"]
        .as_u64()
        .and_then(|batch| batch.try_into().ok())
        .context("the trial names no batch")?;
    console::line(format!("batch {batch}"));
    Ok(batch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::BATCH_SIZES;

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
