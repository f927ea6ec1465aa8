//! Reads the settings file and the overrides of the command line, and makes all locations absolute.

use crate::batch_size::SettingsFile;
use anyhow::{Context as _, anyhow};
use capfilt_console::{ExitCodeExt as _, Failure, surroundings};
use capfilt_schemas::settings::{Settings, parse};
use capfilt_store::Location;

/// Reads and checks settings. Relative paths become absolute: a worker may start in another folder.
///
/// # Errors
/// A file that cannot be read, and settings that are wrong.
pub fn load(file: SettingsFile<'_>) -> Result<Settings, Failure> {
    let text = std::fs::read_to_string(file.path);
    let text = text.map_err(|error| {
        let path = file.path.display();
        let next = format!("`capfilt init INPUT -c {path}` writes settings over an input");
        anyhow!("cannot read the settings {path}: {error}; {next}")
    });
    let text = text.or_usage_error()?;
    let settings = parse(&text, file.overrides);
    let mut settings = settings.with_context(|| file.path.display().to_string()).or_usage_error()?;
    capfilt_store::add_stores(&settings.stores);
    surroundings::wait_out(settings.workers.outage_seconds).or_usage_error()?;
    let models = &mut settings.models;
    for url in [&mut settings.job.url, &mut models.filter].into_iter().chain(&mut models.captioner) {
        *url = Location::open(url).or_usage_error()?.url;
    }
    // The final slash stays: it distinguishes a prefix from an object with this name.
    settings.input.url = Location::open(&settings.input.url).or_usage_error()?.given();
    Ok(settings)
}
