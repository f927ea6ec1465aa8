//! Observations that a dispatcher sends to the displays of progress.

use super::queue::Holding;
use capfilt_schemas::{
    commit::Cost,
    control::Control,
    failure::Failure,
    plan::ShardId,
    queue_protocol::{CoordinatorReport, WorkerReport},
    tally::Tally,
};
use std::{fmt, time::Duration};

/// A change, and the state of the job after the change.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Event that just happened.
    pub change: &'a Change,
    /// State after the event.
    pub progress: &'a Progress,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A worker process was started.
    WorkerStarted {
        /// The worker process: its number here, or its name in the cluster.
        worker: usize,
    },
    /// A worker process has loaded its models.
    WorkerReady {
        /// The worker process: its number here, or its name in the cluster.
        worker: usize,
        /// Device of the worker process, as it reports it.
        device: String,
    },
    /// `how` is a text for people: "exit code 101", "signal 11 (SIGSEGV)".
    WorkerEnded {
        /// The worker process: its number here, or its name in the cluster.
        worker: usize,
        /// Description of the exit.
        how: String,
    },
    /// A line that the worker process wrote to standard error.
    WorkerSaid {
        /// The worker process: its number here, or its name in the cluster.
        worker: usize,
        /// Line that the process printed.
        line: String,
    },
    /// Further rows are done.
    RowsDone,
    /// A shard was committed.
    Committed {
        /// The shard.
        shard: ShardId,
        /// Rows of the shard.
        rows: u64,
        /// Counts over the shard's ledger.
        tally: Tally,
        /// Whether another attempt was first.
        superseded: bool,
        /// Cost of the attempt.
        cost: Cost,
    },
    /// An attempt failed without being counted: its worker process was killed from outside, or a parallel
    /// attempt keeps the shard.
    GivenBack {
        /// Failure record of the attempt.
        failure: Failure,
    },
    /// An attempt failed and the shard is tried again.
    Retrying {
        /// Failure record of the attempt.
        failure: Failure,
    },
    /// A shard has used up its attempts.
    Quarantined {
        /// Failure record of the attempt.
        failure: Failure,
    },
    /// A failure that every shard would meet.
    Stopping {
        /// Failure record of the attempt.
        failure: Failure,
    },
    /// This machine cannot continue.
    GivesUp {
        /// Reason, for the log.
        why: String,
    },
    /// The run ends: number of shards that were returned, and of shards that are being finished.
    Leaving {
        /// Shards that were returned.
        given_back: usize,
        /// Shards that may still finish.
        finishing: usize,
    },
    /// A control came into force.
    Controlled(Control),
    /// Nothing follows: the counts of the run are complete.
    Ends,
    /// First report of a worker process of the cluster.
    Joined {
        /// The worker process: its number here, or its name in the cluster.
        worker: String,
    },
    /// A worker pool of the cluster ended, because it could not continue.
    Left {
        /// The worker process: its number here, or its name in the cluster.
        worker: String,
        /// Reason, for the log.
        why: String,
    },
    /// First report of another coordinator of this job.
    Coordinator(CoordinatorReport),
    /// The cluster's queue cannot be created yet.
    QueueWaits {
        /// Reason, for the log.
        why: String,
    },
    /// The cluster's queue existed before: another coordinator works, or worked, on this job.
    QueueFound,
    /// The cluster's queue was lost or delivered nothing; it is filled again from the bucket.
    QueueLost,
}

/// State of the job.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Shards of the job.
    pub shards_total: u64,
    /// Committed shards.
    pub shards_committed: u64,
    /// Quarantined shards.
    pub shards_quarantined: u64,
    /// Rows of all shards that no earlier run quarantined.
    pub rows_total: u64,
    /// Whether the rows of every shard are known; otherwise `rows_total` is an estimate.
    pub rows_exact: bool,
    /// Committed rows, and finished rows of shards in flight.
    pub rows_done: u64,
    /// Part of `rows_done` that this process committed or has in flight; 0 for a coordinator.
    pub rows_here: u64,
    /// Tally of this run's rows, committed and in flight; the tallies of earlier runs are in their commits.
    pub tally: Tally,
    /// Attempts that are repeated.
    pub retries: u64,
    /// Speculative copies: running shards that an idle worker process received too.
    pub copies: u64,
    /// Rows of attempts that lost their shard to another attempt: computed twice.
    pub wasted_rows: u64,
    /// Worker processes of this machine.
    pub workers: Vec<WorkerView>,
    /// Worker processes of the cluster.
    pub machines: Vec<WorkerReport>,
    /// Whether the totals cover only the shards that this process received, not the whole job.
    pub is_share: bool,
    /// Obstacle that keeps the job from progressing, as far as this process knows.
    pub trouble: Option<Trouble>,
}

/// Obstacle that keeps a job of a cluster from progressing, with its duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// NATS does not answer.
    NatsLost {
        /// URL of the server, without secrets.
        url: String,
        /// Error of the last attempt to connect.
        why: String,
        /// Time since the last contact.
        lasts: Duration,
    },
    /// The coordinator receives no report of a worker pool.
    NoWorker {
        /// Time since the last report.
        lasts: Duration,
    },
    /// The worker pool receives no report of a coordinator.
    NoCoordinator {
        /// Time since the last report.
        lasts: Duration,
    },
}

impl Trouble {
    /// Time since the beginning of the obstacle.
    pub fn lasts(&self) -> Duration {
        let (Self::NatsLost { lasts, .. } | Self::NoWorker { lasts } | Self::NoCoordinator { lasts }) = self;
        *lasts
    }

    /// Whether both values describe the same obstacle at two times.
    pub fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// States the fault, its duration, its consequences and the remedy.
impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lasts().as_secs();
        match self {
            Self::NatsLost { url, why, .. } => write!(
                out,
                "NATS at {url} has not answered for {seconds} s ({why}): held shards are finished, no \
                 other is handed out; is nats-server running there? waiting for it"
            ),
            Self::NoWorker { .. } => {
                write!(
                    out,
                    "no worker is there, for {seconds} s now: start `capfilt worker` with the same --cluster"
                )
            }
            Self::NoCoordinator { .. } => write!(
                out,
                "no coordinator was heard for {seconds} s: no process fills the queue or seals the job; \
                 start `capfilt run` with the same --cluster"
            ),
        }
    }
}

/// The worker process of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    /// Device of the worker process.
    pub device: String,
    /// State of the worker process.
    pub state: WorkerState,
    /// Shards that the worker process holds.
    pub in_hand: Vec<Holding>,
    /// Images per model call in the last commit.
    pub batch: Option<u32>,
}

/// State of a worker process, for progress and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Loads its models.
    Starting,
    /// The process accepts shards.
    Ready {
        /// Shards that it holds.
        shards: usize,
        /// Finished rows of the held shards.
        rows: u64,
    },
    /// Dead; if there is work, a new process starts after the back-off.
    Down,
}
