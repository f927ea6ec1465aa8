//! How the program ends: its exit codes, and which one an error leads to.

use crate::say;
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
    /// Prints an error with its causes, each once, and gives the code.
    pub fn report(self, error: &anyhow::Error) -> Self {
        // Many errors, object_store's all, tell their cause in their own text too.
        let mut told = error.to_string();
        for cause in error.chain().skip(1).map(ToString::to_string) {
            if !told.contains(cause.trim()) {
                told = format!("{told}: {cause}");
            }
        }
        say::error(&format!("capfilt: {told}"));
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
pub trait Blame<T> {
    /// The user's: arguments, settings, input.
    fn usage(self) -> Result<T, Failure>;
    /// The surroundings': bucket, device, weights.
    fn environment(self) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn usage(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::Usage, error: error.into() })
    }

    fn environment(self) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit: Exit::Environment, error: error.into() })
    }
}
