//! Environment variables that every command reads, and variables that a process passes to its child
//! processes.

use anyhow::Context as _;
use capfilt_store::STORES_VARIABLE;
use tokio::process::Command;

/// Seconds of a store outage that a command waits out. The variable serves commands without settings and
/// overrides the settings of other commands.
const OUTAGE_VARIABLE: &str = "CAPFILT_OUTAGE_SECONDS";

/// Reads the variables of every command. Called once, before a location is opened.
///
/// # Errors
/// When a variable is invalid; the error names the variable.
pub fn read() -> anyhow::Result<()> {
    capfilt_store::read_stores()?;
    outage_seconds()?.into_iter().for_each(capfilt_store::wait_out_outages);
    Ok(())
}

/// Sets the seconds of an outage to wait out: by the variable, or else by `seconds` of the settings.
///
/// # Errors
/// When the variable is invalid; the error names the variable.
pub fn wait_out(seconds: u64) -> anyhow::Result<()> {
    capfilt_store::wait_out_outages(outage_seconds()?.unwrap_or(seconds));
    Ok(())
}

fn outage_seconds() -> anyhow::Result<Option<u64>> {
    let set = std::env::var(OUTAGE_VARIABLE).ok().filter(|text| !text.trim().is_empty());
    let seconds = set.map(|text| {
        text.trim()
            .parse()
            .with_context(|| format!("{OUTAGE_VARIABLE} is `{text}`, not a whole number of seconds"))
    });
    seconds.transpose()
}

/// Passes the store settings of this process to a child process.
pub fn hand_on(command: &mut Command) {
    command.env(OUTAGE_VARIABLE, capfilt_store::outage_seconds().to_string());
    capfilt_store::stores_text().into_iter().for_each(|text| {
        command.env(STORES_VARIABLE, text);
    });
}
