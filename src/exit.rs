//! How the program ends: its exit codes, and which one an error leads to.

use crate::console;
use capfilt_coordinator::PlanError;
use std::process::ExitCode;

/// Exit codes, the same for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    /// Done, but something was set aside, or a check found something.
    WithQuarantine = 1,
    /// The arguments or settings are wrong.
    Usage = 2,
    /// The bucket, the device or the weights are.
    Environment = 3,
    /// Stopped from outside; the state is safe and the same command resumes.
    Interrupted = 130,
}

impl Exit {
    /// Writes out what is left of standard output. The code becomes [`Exit::Environment`] where that fails
    /// after success.
    pub fn flushed(self) -> Self {
        let Some(why) = console::flush() else { return self };
        console::error(&format!(
            "capfilt: cannot write to standard output: {why}; what the command did besides is done"
        ));
        if matches!(self, Self::Done | Self::WithQuarantine) { Self::Environment } else { self }
    }

    /// Prints an error with its causes, each once, and gives the code.
    pub fn report(self, error: &anyhow::Error) -> Self {
        // Many errors, object_store's all, tell their cause in their own text too.
        let mut told = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !told.contains(cause.trim()) {
                told = format!("{told}: {cause}");
            }
        }
        console::error(&format!("capfilt: {told}"));
        self
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with the exit code it leads to.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub error: anyhow::Error,
}

pub type Ending = Result<Exit, Failure>;

/// Says whose fault an error is.
pub trait ExitCodeExt<T> {
    /// The user's: arguments, settings, input.
    fn or_usage_error(self) -> Result<T, Failure>;
    /// The surroundings': bucket, device, weights.
    fn or_environment_error(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> ExitCodeExt<T> for Result<T, E> {
    fn or_usage_error(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::Usage, error: error.into() })
    }

    fn or_environment_error(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::Environment, error: error.into() })
    }
}

/// Gives a failed plan its exit code: where no file fits the settings, the settings are at fault.
pub fn of_plan<T>(plan: Result<T, PlanError>) -> Result<T, Failure> {
    match plan {
        Err(error) if error.is_of_settings() => Err(error).or_usage_error(),
        plan => plan.or_environment_error(),
    }
}
