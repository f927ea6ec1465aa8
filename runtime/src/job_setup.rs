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
use capfilt_schemas::{
    hub_url,
    job::JobRecord,
    settings::{Auto, Settings},
};
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
    let pinned = at_commits(settings).await?;
    let [captioner, filter, clip] = checkpoints::records(&pinned).await?;
    let found = job::find(bucket).await.or_environment_error()?;
    // An existing job has a fixed batch size.
    let batch = match &found {
        Some(_) => settings.workers.batch.or_else(|| 1),
        None => batch_size::choose(file, settings, devices).await?,
    };
    let resolved = resolve(&pinned, devices, batch)?;
    let (captioner, filter, clip) = (&captioner, &filter, &clip);
    let asked = JobRequest { settings, resolved: &resolved, captioner, filter, clip };
    let moved = found.as_ref().and_then(|found| moved(found, settings, &pinned));
    // The planned commit can still be read, so no file of it is left out.
    let url = match (&found, &moved, on_change) {
        (Some(found), Some(_), OnInputChange::SetAside) => &found.settings.input.url,
        _ => &pinned.input.url,
    };
    let input = Location::open(url).or_usage_error()?;
    match job::open_or_create(bucket, &input, asked, on_change).await {
        Ok(mut opened) => {
            opened.warnings.extend(moved);
            Ok(opened)
        }
        Err(JobError::Differs(mut differences)) => {
            differences.extend(moved.map(|moved| format!("{moved}; `run --allow-changed` continues there")));
            Err(JobError::Differs(differences)).or_usage_error()
        }
        Err(error @ (JobError::NoJob { .. } | JobError::Occupied { .. })) => Err(error).or_usage_error(),
        Err(JobError::Plan(error)) => of_plan(Err(error)),
        opened => opened.or_environment_error(),
    }
}

/// The settings with the commit of each repository of the Hub in place of its branch or tag: a job reads one
/// state of its input and models, on every machine.
async fn at_commits(settings: &Settings) -> Result<Settings, Failure> {
    let mut pinned = settings.clone();
    let models = &mut pinned.models;
    let urls = [&mut pinned.input.url, &mut models.filter];
    for url in urls.into_iter().chain(&mut models.captioner).chain(&mut models.clip) {
        *url = at_commit(url).await?;
    }
    Ok(pinned)
}

/// The URL, with the commit of the Hub in place of a branch or a tag.
///
/// # Errors
/// A repository or a revision that is not there or not visible, and a failing Hub.
pub async fn at_commit(url: &str) -> Result<String, Failure> {
    Location::open(url).or_usage_error()?.at_commit().await.or_environment_error()
}

/// A sentence if the input's branch or tag names another commit than when the job was planned.
fn moved(found: &JobRecord, settings: &Settings, pinned: &Settings) -> Option<String> {
    let (planned, asked, now) = (&found.settings.input.url, &settings.input.url, &pinned.input.url);
    let sentence = || format!("{asked} is now {now}; the job was planned over {planned} and reads that");
    let is_same = planned.trim_end_matches('/') == now.trim_end_matches('/');
    (hub_url::is_pinned(planned, asked) && !is_same).then(sentence)
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
