//! Ends a child process when its parent process ends, even if the parent was killed and the child is blocked.
//!
//! The end of standard input reaches only a thread that reads it, and a worker process may be blocked in
//! libtorch, a codec or a file system. The kernel's signal (`PR_SET_PDEATHSIG`) is bound to the parent's
//! thread, and threads of an async runtime end at any time. So a thread checks the parent's process id four
//! times a second.

use crate::Exit;
use std::{os::unix::process::parent_id, process::Command, thread, time::Duration};

const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Adds the option that ends the started process together with this one.
pub fn bind(command: &mut Command) -> &mut Command {
    command.arg(format!("--parent={}", std::process::id()))
}

/// Ends this process when `parent` is not its parent; also if it never was, because the parent may have died
/// before this call.
pub fn outlive_no_longer(parent: u32) {
    let watch = move || {
        while parent_id() == parent {
            thread::sleep(CHECK_EVERY);
        }
        Exit::Interrupted.leave();
    };
    // Without the thread, only the end of the pipe signals the end of the parent process.
    if let Err(error) = thread::Builder::new().name("parent".to_owned()).spawn(watch) {
        tracing::warn!(%error, "cannot start the thread that detects the end of the parent process");
    }
}
