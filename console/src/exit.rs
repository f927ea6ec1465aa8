//! Exit codes, and the exit code of each error.

use crate::{spans, streams};

/// Exit code, with the same meaning for every command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Done, but rows, shards or files were quarantined, or a check found a problem.
    WithQuarantine = 1,
    /// The arguments or settings are wrong.
    Usage = 2,
    /// The bucket, the device or the weights failed.
    Environment = 3,
    /// A signal stopped the command; the state is safe and the same command resumes.
    Interrupted = 130,
}

impl Exit {
    /// Sends the last spans and flushes standard output. If the flush fails after a success, the code becomes
    /// [`Exit::Environment`].
    pub fn flushed(self) -> Self {
        spans::end().into_iter().for_each(|problem| streams::line(format!("capfilt: {problem}")));
        let Some(why) = streams::flush() else { return self };
        streams::error(&format!(
            "capfilt: cannot write to standard output: {why}; what the command did besides is done"
        ));
        if matches!(self, Self::Done | Self::WithQuarantine) { Self::Environment } else { self }
    }

    /// Ends the process with this code, as [`leave`] does.
    pub fn leave(self) -> ! {
        leave(self as i32)
    }

    /// Prints an error with its causes, each once, and returns the code.
    pub fn report(self, error: &anyhow::Error) -> Self {
        streams::error(&format!("capfilt: {}", with_causes(error)));
        self
    }
}

/// Text of an error with its causes, each once: many errors, such as those of object_store, already contain
/// the text of their cause.
pub fn with_causes(error: &anyhow::Error) -> String {
    let mut message = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !message.contains(cause.trim()) {
            message = format!("{message}: {cause}");
        }
    }
    message
}

/// Ends the process at once, without exit handlers.
///
/// libtorch destroys its static objects in exit handlers. Threads that still run, because they compute or
/// wait for an unreachable store, would use these objects afterwards, and a process whose work is done would
/// die of a signal.
pub fn leave(code: i32) -> ! {
    signal_hook::low_level::exit(code)
}

/// Error with its exit code.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the program.
    pub exit: Exit,
    /// Error that is reported before the exit.
    pub error: anyhow::Error,
}

/// Result of a command.
pub type Ending = Result<Exit, Failure>;

/// Assigns an exit code to an error.
pub trait ExitCodeExt<T> {
    /// Assigns [`Exit::Usage`]: wrong arguments, settings or input.
    fn or_usage_error(self) -> Result<T, Failure>;
    /// Assigns [`Exit::Environment`]: bucket, device or weights.
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
