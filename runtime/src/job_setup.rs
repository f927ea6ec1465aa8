//! Opening of a job: frozen settings of a new one.

use crate::{
    batch_size::{self, SettingsFile},
    checkpoints,
    devices::DevicePlan,
    models,
    plan_exit::of_plan,
};
use capfilt_blip::DeviceChoice;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::{
    JobError, OnInputChange,
    job::{self, JobRequest, Opened},
};
use capfilt_schemas::settings::{Auto, Settings};
use capfilt_store::Location;

/// Resumes the job in a bucket, or plans and creates it. `file` names the settings for a trial in another
/// process.
///
/// # Errors
/// Settings that differ from those of the job, an input that cannot be planned, a failing store, and models
/// that do not load in the trial.
pub async fn open(
    bucket: &Location,
    file: SettingsFile<'_>,
    settings: &Settings,
    devices: &[DevicePlan],
    on_change: OnInputChange,
) -> Result<Opened, Failure> {
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let (captioner, filter) = checkpoints::records(settings).await?;
    // An existing job has a fixed batch size.
    let batch = match job::find(bucket).await.or_environment_error()? {
        Some(_) => settings.workers.batch.or_else(|| 1),
        None => batch_size::choose(file, settings, devices).await?,
    };
    let resolved = resolve(settings, devices, batch)?;
    let asked = JobRequest { settings, resolved: &resolved, captioner: &captioner, filter: &filter };
    match job::open_or_create(bucket, &input, asked, on_change).await {
        Err(error @ (JobError::Differs(_) | JobError::NoJob { .. } | JobError::Occupied { .. })) => {
            Err(error).or_usage_error()
        }
        Err(JobError::Plan(error)) => of_plan(Err(error)),
        opened => opened.or_environment_error(),
    }
}

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
