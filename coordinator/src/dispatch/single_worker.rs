//! One worker process without a pool, for a trial: it receives a fixed list of shards, and a failed shard has
//! no second attempt.

use super::worker_process::{FromWorker, WorkerMessage, WorkerProcess};
use capfilt_schemas::worker_protocol::{Assignment, Event, SHARDS_IN_CHILD};
use std::collections::VecDeque;
use tokio::{process::Command, sync::mpsc};

/// Messages of the process that wait for the caller; a process that writes faster waits at its pipe.
const MESSAGES_BOUND: usize = 256;

/// A worker process and the shards that it has not received yet. Dropping the value kills the process.
pub struct SingleWorker {
    process: WorkerProcess,
    waiting: VecDeque<Assignment>,
    messages: mpsc::Receiver<FromWorker>,
}

impl SingleWorker {
    /// Starts the process and sends the first shards.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(
        command: Command,
        assignments: impl IntoIterator<Item = Assignment>,
    ) -> std::io::Result<Self> {
        let (messages_in, messages) = mpsc::channel(MESSAGES_BOUND);
        let process = WorkerProcess::spawn(command, 0, messages_in)?;
        let mut worker = Self { process, waiting: assignments.into_iter().collect(), messages };
        (0..SHARDS_IN_CHILD).for_each(|_| worker.assign_next());
        Ok(worker)
    }

    /// Sends the next shard; without one, the process ends after its last shard.
    fn assign_next(&mut self) {
        match self.waiting.pop_front() {
            Some(assignment) => self.process.assign(&assignment),
            None => self.process.close(),
        }
    }

    /// Returns the next message; the last one is [`WorkerMessage::Exited`], `None` follows it.
    pub async fn next(&mut self) -> Option<WorkerMessage> {
        let (_, message) = self.messages.recv().await?;
        if let WorkerMessage::Event(Event::Committed { .. } | Event::Failed { .. }) = &message {
            self.assign_next();
        }
        Some(message)
    }

    /// Kills the process and waits for its end; after this it writes nothing more.
    pub async fn end(mut self) {
        self.process.kill();
        while self.messages.recv().await.is_some() {}
    }
}
