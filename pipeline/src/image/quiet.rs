//! Decoders that panic: the panic is caught without output on standard error.
//!
//! `catch_unwind` alone is not silent, because the panic hook prints before the stack unwinds. A shard of
//! damaged images would print four lines for each of them.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`caught`].
    static IS_DECODING: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder. The error is the message of its panic.
pub(super) fn caught<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    let outer = IS_DECODING.replace(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    IS_DECODING.set(outer);
    decoded.map_err(|panic| message_of(panic.as_ref()).to_owned())
}

/// Installs a panic hook that forwards the panics of all threads that do not decode to the previous hook.
fn silence() {
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !IS_DECODING.get() {
                hook(panic);
            }
        }));
    });
}

/// Message of a panic.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[ignore = "run by the test below, in a separate process"]
    fn a_decoder_and_another_thread_panic() {
        assert_eq!(caught(|| panic!("of a decoder")), Err::<(), _>("of a decoder".to_owned()));
        assert!(std::thread::spawn(|| panic!("of another thread")).join().is_err());
        assert_eq!(caught(|| 7), Ok(7));
        assert!(panic::catch_unwind(|| panic!("of this thread, not decoding")).is_err());
    }

    #[test]
    fn a_panic_of_a_decoder_is_silent_and_any_other_is_not() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let filter = "image::quiet::tests::a_decoder_and_another_thread_panic";
        let output = command.args(["--ignored", "--exact", "--nocapture", filter]).output().unwrap();
        let (stderr, stdout) =
            (String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
        assert!(
            stderr.contains("of another thread") && stderr.contains("of this thread, not decoding"),
            "{stderr}"
        );
        assert!(!stderr.contains("of a decoder"), "{stderr}");
    }
}
