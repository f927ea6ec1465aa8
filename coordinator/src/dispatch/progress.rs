//! What a dispatcher tells whoever shows progress.

use super::queue::Holding;
use capfilt_schemas::{
    cluster::{CoordinatorReport, WorkerReport},
    commit::Cost,
    failure::Failure,
    plan::ShardId,
    tally::Tally,
};
use std::{fmt, time::Duration};

/// Something happened, and where the job stands now.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    pub change: &'a Change,
    pub progress: &'a Progress,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    WorkerStarted {
        worker: usize,
    },
    WorkerReady {
        worker: usize,
        device: String,
    },
    /// `how` is for people: "exit code 101", "signal 11 (SIGSEGV)".
    WorkerEnded {
        worker: usize,
        how: String,
    },
    /// A line the worker wrote to its standard error.
    WorkerSaid {
        worker: usize,
        line: String,
    },
    RowsDone,
    Committed {
        shard: ShardId,
        rows: u64,
        tally: Tally,
        superseded: bool,
        cost: Cost,
    },
    /// An attempt failed and used up no try: its worker was ended from outside, or another attempt does the
    /// shard.
    GivenBack {
        failure: Failure,
    },
    Retrying {
        failure: Failure,
    },
    Quarantined {
        failure: Failure,
    },
    /// What failed would fail with every shard.
    Stopping {
        failure: Failure,
    },
    /// Going on makes no sense on this machine.
    GivesUp {
        why: String,
    },
    /// The run ends: shards that were given back, and shards that are being finished.
    Leaving {
        given_back: usize,
        finishing: usize,
    },
    /// NoMore follows: the books of the run are complete.
    Ends,
    /// A worker of the cluster was heard for the first time.
    Joined {
        worker: String,
    },
    /// A worker of the cluster ended since it could not go on.
    Left {
        worker: String,
        why: String,
    },
    /// Another coordinator of this job was heard for the first time.
    Coordinator(CoordinatorReport),
    /// The cluster's queue cannot be made yet.
    QueueWaits {
        why: String,
    },
    /// The cluster's queue was there already: another coordinator works on this job, or did.
    QueueFound,
    /// The cluster's queue was gone, or gave out nothing any more, and is filled again from the bucket.
    QueueLost,
}

/// Where the job stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    pub shards_total: u64,
    pub shards_committed: u64,
    pub shards_quarantined: u64,
    /// Of all shards that are not quarantined by an earlier run.
    pub rows_total: u64,
    /// Committed rows, and those of shards in flight.
    pub rows_done: u64,
    /// Of these, committed by this process, or in flight here; a coordinator has none.
    pub rows_here: u64,
    /// Tally of  run's rows, committed and in flight; earlier runs' are in their commits.
    pub tally: Tally,
    pub retries: u64,
    /// Shards an idle worker was given while another was at them.
    pub copies: u64,
    /// Rows that were done twice: by attempts that lost their shard to another.
    pub wasted_rows: u64,
    /// This machine's children.
    pub workers: Vec<WorkerView>,
    /// The cluster's worker processes.
    pub machines: Vec<WorkerReport>,
    /// Whether the totals are of the shards this process was given, and not the job's.
    pub is_share: bool,
    /// What keeps the job from getting on, as far as this process can tell.
    pub trouble: Option<Trouble>,
}

/// What keeps a job of many machines from getting on, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// NATS does not answer.
    NatsLost { url: String, why: String, lasts: Duration },
    /// The coordinator hears no worker.
    NoWorker { lasts: Duration },
    /// The worker hears no coordinator.
    NoCoordinator { lasts: Duration },
}

impl Trouble {
    pub fn lasts(&self) -> Duration {
        let (Self::NatsLost { lasts, .. } | Self::NoWorker { lasts } | Self::NoCoordinator { lasts }) = self;
        *lasts
    }

    /// Whether both are the same trouble at two times.
    pub fn is_same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What is wrong, for how long, what goes on meanwhile and what to do.
impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lasts().as_secs();
        match self {
            Self::NatsLost { url, why, .. } => write!(
                out,
                "NATS at {url} has not answered for {seconds} s ({why}): shards in hand are finished, no other is handed \
                 out; is nats-server running there? waiting for it"
            ),
            Self::NoWorker { .. } => {
                write!(
                    out,
                    "no worker is there, for {seconds} s now; start `capfilt worker` with the same --cluster"
                )
            }
            Self::NoCoordinator { .. } => write!(
                out,
                "no coordinator was heard for {seconds} s: nobody fills the queue or seals the job; start `capfilt run` \
                 with the same --cluster"
            ),
        }
    }
}

/// One device's worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    pub device: String,
    pub state: WorkerState,
    pub in_hand: Vec<Holding>,
    /// Images per model call, as of its last commit.
    pub batch: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Loading its models.
    Starting,
    Ready {
        /// Shards it holds.
        shards: usize,
        /// Rows done of these.
        rows: u64,
    },
    /// Dead; a new one starts when its back-off is over, if there is work.
    Down,
}
