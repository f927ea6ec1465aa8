//! The settings that a new job is frozen with.

use crate::{
    devices::DevicePlan,
    exit::{ExitCodeExt as _, Failure},
    models,
};
use capfilt_med::DeviceChoice;
use capfilt_schemas::settings::{Auto, Settings};

/// Replaces `auto` in the settings wherever it could change a result.
///
/// # Errors
/// When the device has no such name, or cannot compute in the precision.
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
