//! A device and its worker process, which is running or will be started again after a back-off.

use super::{
    WorkerState, WorkerView,
    queue::Holding,
    worker_process::{Exit, WorkerProcess},
};
use std::time::Duration;
use tokio::time::Instant;

/// Longest back-off, before jitter.
const LONGEST: Duration = Duration::from_secs(60);

/// A device and its worker process.
#[derive(Debug)]
pub(super) struct WorkerSlot {
    pub device: String,
    /// Name of the worker process in commits, failure records and logs.
    pub worker: String,
    /// Images per model call in the last commit.
    pub batch: Option<u32>,
    pub state: SlotState,
    /// Ends of worker processes since the last commit of this slot; each doubles the back-off.
    pub deaths_in_row: u32,
    /// Worker processes that failed without an outside cause before they were ready, since the last one was
    /// ready.
    pub failed_starts: u32,
}

#[derive(Debug)]
pub(super) enum SlotState {
    /// No worker process runs; one may start from this time on.
    Down {
        until: Instant,
    },
    Running(Running),
}

/// A live worker process.
#[derive(Debug)]
pub(super) struct Running {
    pub child: WorkerProcess,
    pub is_ready: bool,
    /// Time of its last message or of its last assignment.
    pub last_message: Instant,
    /// Time when the newest shard reached the device.
    pub on_device_since: Instant,
    /// The process was killed because of its silence, and its exit is not yet seen.
    pub is_hung: bool,
}

impl WorkerSlot {
    pub fn new(device: &str, worker: usize) -> Self {
        let state = SlotState::Down { until: Instant::now() };
        let worker = format!("{device}#{worker}");
        Self { device: device.to_owned(), worker, batch: None, state, deaths_in_row: 0, failed_starts: 0 }
    }

    pub fn running(&mut self) -> Option<&mut Running> {
        match &mut self.state {
            SlotState::Running(running) => Some(running),
            SlotState::Down { .. } => None,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, SlotState::Running(_))
    }

    /// Whether the worker process is loading its models: one pending shard is meant for it.
    pub fn is_starting(&self) -> bool {
        matches!(&self.state, SlotState::Running(running) if !running.is_ready)
    }

    pub fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, SlotState::Down { until } if until <= now)
    }

    pub fn start(&mut self, child: WorkerProcess) {
        let now = Instant::now();
        let running =
            Running { child, is_ready: false, last_message: now, on_device_since: now, is_hung: false };
        self.state = SlotState::Running(running);
    }

    /// Time since the newest shard reached the device.
    pub fn time_on_device(&mut self) -> Duration {
        self.running().map_or(Duration::ZERO, |running| running.on_device_since.elapsed())
    }

    /// Notes the end of the worker process and returns its state. `unprovoked`: no outside cause ended it.
    pub fn end(&mut self, restart: Duration, unprovoked: bool) -> Option<Running> {
        self.deaths_in_row += 1;
        let until = Instant::now() + back_off(restart, self.deaths_in_row);
        match std::mem::replace(&mut self.state, SlotState::Down { until }) {
            SlotState::Running(running) => {
                self.failed_starts += u32::from(!running.is_ready && unprovoked);
                Some(running)
            }
            SlotState::Down { .. } => None,
        }
    }

    pub fn view(&self, in_hand: Vec<Holding>) -> WorkerView {
        let (shards, rows) = (in_hand.len(), in_hand.iter().map(|holding| holding.rows).sum());
        let state = match &self.state {
            SlotState::Down { .. } => WorkerState::Down,
            SlotState::Running(running) if running.is_ready => WorkerState::Ready { shards, rows },
            SlotState::Running(_) => WorkerState::Starting,
        };
        WorkerView { device: self.device.clone(), state, in_hand, batch: self.batch }
    }
}

impl Running {
    /// Kills a worker process that should have sent a message and has been silent for longer than `silence`.
    pub fn kill_when_silent(&mut self, now: Instant, silence: Duration, has_work: bool) {
        let should_speak = has_work || !self.is_ready;
        if should_speak && !self.is_hung && now.duration_since(self.last_message) > silence {
            self.is_hung = true;
            self.child.kill();
        }
    }

    /// Description of the exit; for a hung process, of its silence.
    pub fn explain(&self, exit: &Exit, silence: Duration) -> String {
        if self.is_hung {
            format!("no message for {} s; it was killed", silence.as_secs())
        } else {
            exit.how.clone()
        }
    }
}

/// `base`, doubled for every failure after the first, at most a minute, times a random factor between 0.5 and
/// 1. The factor spreads the retries of attempts that failed together.
pub(super) fn back_off(base: Duration, failures: u32) -> Duration {
    let doubled = base.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(0.5 + 0.5 * rand::random::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const STEP: Duration = Duration::from_millis(10);

    /// Time until the slot may start a worker process again.
    async fn until_due(slot: &WorkerSlot) -> Duration {
        let since = Instant::now();
        while !slot.is_due(Instant::now()) {
            advance(STEP).await;
        }
        since.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_back_off_of_a_slot_doubles_with_every_death_and_ends_at_a_minute() {
        let restart = Duration::from_millis(500);
        let mut slot = WorkerSlot::new("cpu", 0);
        assert_eq!(until_due(&slot).await, Duration::ZERO, "the first process starts at once");
        let mut longest = restart;
        for death in 1..=40 {
            slot.end(restart, true);
            let waited = until_due(&slot).await;
            assert!(waited >= longest / 2 && waited <= longest + STEP, "death {death}: {waited:?}");
            longest = (longest * 2).min(LONGEST);
        }
        assert_eq!(longest, LONGEST);
        assert_eq!(slot.failed_starts, 0, "no process ran");
    }
}
