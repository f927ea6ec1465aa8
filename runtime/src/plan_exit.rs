//! Exit code of a failed plan.

use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::PlanError;

/// Assigns the exit code of a failed plan: if no file fits the settings, the code is
/// [`capfilt_console::Exit::Usage`].
pub fn of_plan<T>(plan: Result<T, PlanError>) -> Result<T, Failure> {
    match plan {
        Err(error) if error.is_of_settings() => Err(error).or_usage_error(),
        plan => plan.or_environment_error(),
    }
}
