//! Frozen settings of a new job.

use crate::{devices::DevicePlan, models};
use capfilt_blip::DeviceChoice;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_schemas::settings::{Auto, Settings};

/// Replaces each `auto` that could change a result.
///
/// # Errors
/// When the device's name is invalid, or the device cannot compute in the precision.
pub fn resolve(settings: &Settings, devices: &[DevicePlan], batch: u32) -> Result<Settings, Failure> {
    let device = devices.first().map_or("cpu", |plan| plan.device.as_str());
    let choice: DeviceChoice = device.parse().map_err(anyhow::Error::msg).or_usage_error()?;
    let mut resolved = settings.clone();
    resolved.models.precision = models::resolve(settings.models.precision, choice)
        .map_err(anyhow::Error::msg)
        .or_environment_error()?;
    resolved.workers.batch = Auto::Fixed(batch);
    Ok(resolved)
}
