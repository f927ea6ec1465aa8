//! Time of a shard, measured by every stage and written into its commit.

use capfilt_schemas::commit::Timings;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};
use tracing::{Span, field::Empty};

/// Timed stages.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Fetch,
    Decode,
    Device,
    Write,
}

impl Stage {
    /// Span of one batch in this stage; the caller records the number of `rows`. The program exports it, and
    /// the log shows it at level trace.
    pub(crate) fn span(self, attempt: &Span) -> Span {
        match self {
            Self::Fetch => tracing::trace_span!(parent: attempt, "fetch", rows = Empty),
            Self::Decode => tracing::trace_span!(parent: attempt, "decode", rows = Empty),
            Self::Device => tracing::trace_span!(parent: attempt, "device", rows = Empty),
            Self::Write => tracing::trace_span!(parent: attempt, "write", rows = Empty),
        }
    }
}

/// Time of one shard; its stages run in different threads.
#[derive(Debug)]
pub(crate) struct StageTimings {
    started: Instant,
    micros: [AtomicU64; 4],
}

impl StageTimings {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), micros: Default::default() }
    }

    /// Adds the time since `from` to a stage.
    pub(crate) fn add(&self, stage: Stage, from: Instant) {
        let micros = u64::try_from(from.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros[stage as usize].fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn timings(&self) -> Timings {
        let seconds = |stage: Stage| self.micros[stage as usize].load(Ordering::Relaxed) as f64 / 1e6;
        Timings {
            fetch_seconds: seconds(Stage::Fetch),
            decode_seconds: seconds(Stage::Decode),
            device_seconds: seconds(Stage::Device),
            write_seconds: seconds(Stage::Write),
            total_seconds: self.started.elapsed().as_secs_f64(),
        }
    }
}
