//! Whether the kernel ended a process here for want of memory, of late.
//!
//! It does so with SIGKILL, which anyone may send; only its count of such ends tells. The count is compared
//! with one that is a while old: a process with much memory takes a moment to be gone, and is counted before.

use crate::machine_memory::MachineMemory;
use std::time::Duration;

/// How often the count is looked at. What is compared is one or two of these old.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A view of the count.
#[derive(Debug)]
pub(super) struct OomWatch {
    memory: MachineMemory,
    before: u64,
    last: u64,
}

impl OomWatch {
    pub fn begin() -> Self {
        let memory = MachineMemory::look();
        let now = memory.oom_kills();
        Self { memory, before: now, last: now }
    }

    /// Keeps looking, without end.
    pub async fn watch(&mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.before = std::mem::replace(&mut self.last, self.memory.oom_kills());
        }
    }

    /// Whether a process was ended lately.
    pub fn has_struck(&self) -> bool {
        self.memory.oom_kills() > self.before
    }
}
