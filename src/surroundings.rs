//! What the environment says to every command, and what a process hands on to those it starts.

use anyhow::Context as _;
use capfilt_bucket::STORES_VARIABLE;
use tokio::process::Command;

/// Seconds for which stores are waited for, of commands that have no settings; it wins over settings too.
const OUTAGE_VARIABLE: &str = "CAPFILT_OUTAGE_SECONDS";

/// Reads what every command heeds. Called once, before any place is opened.
///
/// # Errors
/// Names the variable that cannot be used.
pub fn read() -> anyhow::Result<()> {
    capfilt_bucket::read_stores()?;
    outage_seconds()?.into_iter().for_each(capfilt_bucket::wait_out_outages);
    Ok(())
}

/// Waits for stores as the settings say, unless the environment says otherwise.
///
/// # Errors
/// Names the variable that cannot be used.
pub fn wait_out(seconds: u64) -> anyhow::Result<()> {
    capfilt_bucket::wait_out_outages(outage_seconds()?.unwrap_or(seconds));
    Ok(())
}

fn outage_seconds() -> anyhow::Result<Option<u64>> {
    let said = std::env::var(OUTAGE_VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let seconds = said.map(|text| {
        text.trim().parse().with_context(|| format!("{OUTAGE_VARIABLE}: no whole number of seconds"))
    });
    seconds.transpose()
}

/// Lets a process that is started reach the stores as this one does.
pub fn hand_on(command: &mut Command) {
    command.env(OUTAGE_VARIABLE, capfilt_bucket::outage_seconds().to_string());
    capfilt_bucket::stores_text().into_iter().for_each(|text| {
        command.env(STORES_VARIABLE, text);
    });
}
