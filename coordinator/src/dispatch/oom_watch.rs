//! Detects whether the kernel recently killed a process of this machine because memory ran out.
//!
//! The kernel uses SIGKILL, which other processes may send too; only the kernel's count of out-of-memory
//! kills is proof. The count is compared with one that is 10 to 20 s old, because the kernel counts a kill
//! before the process has exited, and a process with much memory takes time to exit.

use crate::machine_memory::MachineMemory;
use std::time::Duration;

/// Interval between two reads of the count. The comparison uses a count one or two intervals old.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The count now and earlier.
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

    /// Reads the count periodically, without end.
    pub async fn watch(&mut self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.before = std::mem::replace(&mut self.last, self.memory.oom_kills());
        }
    }

    /// Whether the kernel killed a process recently.
    pub fn has_struck(&self) -> bool {
        self.memory.oom_kills() > self.before
    }
}
