//! The endpoint of a job's captions, with its address and key from this machine's environment.

use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_endpoint::{EndpointCaptioner, EndpointOptions};
use capfilt_schemas::settings::Settings;
use std::time::Duration;

/// Connects to a job's endpoint, and waits for it as for a store; `None` if the job has no endpoint.
///
/// # Errors
/// A missing key, and an endpoint that is unavailable, refuses requests or serves another model.
pub(crate) async fn connect(settings: &Settings) -> Result<Option<EndpointCaptioner>, Failure> {
    match options(settings)? {
        Some(options) => EndpointCaptioner::connect(options).await.or_environment_error().map(Some),
        None => Ok(None),
    }
}

/// Checks a job's endpoint once, without waiting: before the first worker process starts, an endpoint that is
/// not reached is more likely misspelt than unavailable. Returns its address, if the job has one.
///
/// # Errors
/// A missing key, and an endpoint that is unavailable, refuses requests or serves another model.
pub async fn check(settings: &Settings) -> Result<Option<String>, Failure> {
    let Some(options) = options(settings)? else { return Ok(None) };
    let shown = options.shown();
    EndpointCaptioner::check(options).await.or_environment_error()?;
    Ok(Some(shown))
}

fn options(settings: &Settings) -> Result<Option<EndpointOptions>, Failure> {
    let outage = Duration::from_secs(capfilt_store::outage_seconds());
    EndpointOptions::of(settings, outage, |name| std::env::var(name).ok()).or_environment_error()
}
