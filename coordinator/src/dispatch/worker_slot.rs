//! One device's place for a worker: a child runs in it, or will again.

use super::{
    WorkerState, WorkerView,
    queue::Holding,
    worker_process::{Exit, WorkerProcess},
};
use std::time::Duration;
use tokio::time::Instant;

/// The longest back-off, before jitter.
const LONGEST: Duration = Duration::from_secs(60);

/// A device and its child.
#[derive(Debug)]
pub(super) struct WorkerSlot {
    pub device: String,
    /// Name of its worker in commits, failures and logs.
    pub worker: String,
    /// Images per model call, as of its last commit.
    pub batch: Option<u32>,
    pub state: SlotState,
    /// Deaths since the slot's last commit; they make its back-off longer.
    pub deaths_in_row: u32,
    /// Children that died of their own before they were ready, since one last was.
    pub failed_starts: u32,
}

#[derive(Debug)]
pub(super) enum SlotState {
    /// No child; one may start from then on.
    Down {
        until: Instant,
    },
    Running(Running),
}

/// A live child.
#[derive(Debug)]
pub(super) struct Running {
    pub child: WorkerProcess,
    pub is_ready: bool,
    /// When it last message something, or was last given something.
    pub last_message: Instant,
    /// When the newest shard reached its device.
    pub on_device_since: Instant,
    /// It was killed for its silence; its end is on the way.
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

    /// Whether its child is loading its models: one pending shard is meant for it.
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

    /// How long its child's newest shard has been on the device.
    pub fn time_on_device(&mut self) -> Duration {
        self.running().map_or(Duration::ZERO, |running| running.on_device_since.elapsed())
    }

    /// Notes that the child is gone, by its own doing or not; returns what was known of it.
    pub fn end(&mut self, restart: Duration, by_itself: bool) -> Option<Running> {
        self.deaths_in_row += 1;
        let until = Instant::now() + back_off(restart, self.deaths_in_row);
        match std::mem::replace(&mut self.state, SlotState::Down { until }) {
            SlotState::Running(running) => {
                self.failed_starts += u32::from(!running.is_ready && by_itself);
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
    /// Kills a child that should have message something and did not.
    pub fn kill_when_silent(&mut self, now: Instant, silence: Duration, has_work: bool) {
        let should_speak = has_work || !self.is_ready;
        if should_speak && !self.is_hung && now.duration_since(self.last_message) > silence {
            self.is_hung = true;
            self.child.kill();
        }
    }

    /// How a hung child's end is told.
    pub fn explain(&self, exit: &Exit, silence: Duration) -> String {
        if self.is_hung {
            format!("message nothing for {} s and was killed", silence.as_secs())
        } else {
            exit.how.clone()
        }
    }
}

/// `base`, doubled for every failure after the first, up to a minute, times a random share between a half and
/// one: what failed together should not come back together.
pub(super) fn back_off(base: Duration, failures: u32) -> Duration {
    let doubled = base.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(0.5 + 0.5 * rand::random::<f64>())
}
