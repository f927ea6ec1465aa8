//! A process that is nothing without its parent ends when the parent does, killed or not, whatever it waits
//! for.
//!
//! Standard input tells of a parent that is gone only to someone who reads it, and a device's process may be
//! deep in libtorch, a codec or a file system that does not answer. The kernel can be asked for a signal
//! (`PR_SET_PDEATHSIG`), but it means the parent's thread, and a runtime's threads come and go. So a thread
//! looks, four times a second.

use crate::exit::Exit;
use std::{os::unix::process::parent_id, process::Command, thread, time::Duration};

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the end in order may take: what libraries do at the end may wait for a thread that hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Has the process that is started end with this one.
pub fn bind(command: &mut Command) -> &mut Command {
    command.arg(format!("--parent={}", std::process::id()))
}

/// Ends the process once `parent` is not its parent, also when it never was: it may have died before this was
/// asked.
pub fn outlive_no_longer(parent: u32) {
    let watch = move || {
        while parent_id() == parent {
            thread::sleep(LOOK_EVERY);
        }
        thread::spawn(|| {
            thread::sleep(ENDS_WITHIN);
            std::process::abort();
        });
        std::process::exit(Exit::Interrupted as i32);
    };
    // Without the thread the end of the pipe is all that tells.
    if let Err(error) = thread::Builder::new().name("parent".to_owned()).spawn(watch) {
        tracing::warn!(%error, "nothing watches for the end of the parent process");
    }
}
