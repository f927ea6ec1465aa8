//! The coordinator's loop: keeps the queue filled with open shards until no shard is open.

mod control;
mod news;
mod trouble;

use super::{
    cluster_progress::ClusterProgress,
    connection::ConnectionError,
    coordinated_job::CoordinatedJob,
    diagnosis,
    queue::{Delivery, Depth, JobQueue},
    server_contact::{Contact, contact},
};
use crate::{
    dispatch::{Change, DispatchError, Observation, Outcome, Report, Trouble, attempt_spans::span_of},
    state::{JobState, ShardState},
};
use async_nats::Subscriber;
use capfilt_schemas::{
    plan::{Shard, ShardId},
    queue_protocol::{CoordinatorReport, End, News, ShardMessage},
};
use control::Finish;
use futures::StreamExt as _;
use std::{collections::HashSet, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// Interval between two checks of the queue.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Interval between two listings of the bucket while the queue is not empty. Shards that the queue lost are
/// then put back.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The interval grows with the job, so that the listings never cost more than one request per second.
const SWEEP_PER_SHARD: Duration = Duration::from_millis(1);

/// A worker pool without a report for this time is not counted.
const SILENT: Duration = Duration::from_secs(5);

/// Longest outage of the store before the run ends; worker pools continue with their shards meanwhile.
const PATIENCE: Duration = Duration::from_secs(600);

/// Time that a reachable server has for creating the queue.
const QUEUE_WITHIN: Duration = Duration::from_secs(30);

/// Speculative copies that are put into the queue at a time.
const COPIES_AT_ONCE: usize = 64;

/// Works until every shard is committed or quarantined, until the job is drained, or until `stop` becomes
/// true; after a stop or a drain, the queue remains. The caller must call [`JobQueue::remove`] when the job
/// is sealed.
///
/// Several coordinators of one job are harmless: each keeps the queue filled, and a subject of the queue
/// takes one message.
///
/// # Errors
/// A failure that every shard would meet, a fault that made a worker pool end and that this machine has too,
/// and a failing store.
pub async fn coordinate(
    job: CoordinatedJob<'_>,
    observe: impl FnMut(Observation<'_>),
    mut stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    let opening =
        async { Ok::<_, DispatchError>((JobState::read(job.bucket).await?, job.queue.listen().await?)) };
    let (now, news) = tokio::select! {
        opened = opening => opened?,
        Ok(_) = stop.wait_for(|stop| *stop) => return Ok(Outcome::Interrupted(Report::default())),
    };
    let known: HashSet<_> =
        now.failures.values().flatten().map(|failure| failure.attempt.0.clone()).collect();
    let view = ClusterProgress::open(&job, &now);
    let mut run = Run {
        job,
        view,
        observe,
        now,
        known_failures: known,
        started: Instant::now(),
        swept: Instant::now(),
        stood: Instant::now(),
        contact: Contact::default(),
        worker_heard: Instant::now(),
        seemed_stuck: false,
        copied: HashSet::new(),
        peers: HashSet::new(),
        left: None,
        looked_into: None,
        drained: None,
    };
    // A stop request ends every wait, for the store or the server: the bucket has all state.
    let worked = tokio::select! {
        worked = run.work(news) => Some(worked),
        Ok(_) = stop.wait_for(|stop| *stop) => None,
    };
    match worked {
        Some(worked) => worked.map(|end| match end {
            Finish::Settled => Outcome::Finished(run.view.into_report()),
            Finish::Drained => Outcome::Interrupted(run.view.into_report()),
        }),
        None => Ok(Outcome::Interrupted(run.view.into_report())),
    }
}

struct Run<'a, O> {
    job: CoordinatedJob<'a>,
    view: ClusterProgress,
    observe: O,
    /// Job state at the last sweep.
    now: JobState,
    /// Attempts whose failures were recorded before this run: their cause is repaired, or the failure will
    /// recur.
    known_failures: HashSet<String>,
    started: Instant,
    swept: Instant,
    /// Time of the last successful listing of the bucket.
    stood: Instant,
    contact: Contact,
    /// Time of the last report of a worker pool; at first, the start of this run.
    worker_heard: Instant,
    /// Whether the queue, at the last check, had messages and delivered none.
    seemed_stuck: bool,
    /// Shards that have a speculative copy.
    copied: HashSet<ShardId>,
    /// Other coordinators that have reported.
    peers: HashSet<String>,
    /// A worker pool that could not continue, and the reason; to be diagnosed.
    left: Option<(String, String)>,
    looked_into: Option<Instant>,
    /// Time at which this coordinator read the drain in force.
    drained: Option<Instant>,
}

/// Fault of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ailment {
    Gone,
    /// The queue holds messages and delivers none.
    Stuck,
}

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    /// Fills the queue and keeps it filled until no shard is open, or the job is drained.
    async fn work(&mut self, mut news: Subscriber) -> Result<Finish, DispatchError> {
        self.open_queue().await?;
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = news.next() => match message {
                    Some(message) => self.take_in(&message.payload)?,
                    None => news = self.job.queue.listen().await?,
                },
                _ = tick.tick() => if let Some(finish) = self.check().await? { return Ok(finish) },
            }
        }
    }

    /// Creates the queue and fills it with the open shards. The server may go away between its first answer
    /// and this request.
    async fn open_queue(&mut self) -> Result<(), DispatchError> {
        let mut reported = String::new();
        loop {
            let error = match self.try_open_queue().await {
                Err(error @ DispatchError::Connection(ConnectionError::NoJetStream { .. })) => {
                    return Err(error);
                }
                Err(DispatchError::Connection(error)) if self.started.elapsed() < QUEUE_WITHIN => error,
                opened => return opened,
            };
            let why = error.to_string();
            if why != reported {
                reported.clone_from(&why);
                (self.observe)(self.view.seen(&Change::QueueWaits { why }));
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn try_open_queue(&mut self) -> Result<(), DispatchError> {
        if self.job.queue.ensure(self.job.ack_wait).await? {
            (self.observe)(self.view.seen(&Change::QueueFound));
        }
        let queued = self.job.queue.shards().await?;
        self.look_at_bucket().await?;
        self.fill(&queued).await?;
        Ok(())
    }

    /// Checks queue and bucket; `true` when no shard is open.
    async fn look(&mut self) -> Result<bool, DispatchError> {
        self.view.workers.forget_silent(SILENT);
        self.look_into_leaving().await?;
        let Some(depth) = self.depth().await else { return self.look_without_server().await };
        self.tell_of_us().await;
        self.tell_of_trouble();
        tracing::debug!(?depth, "checked the queue");
        let ailment = self.ailment(depth);
        let is_due = self.swept.elapsed() >= SWEEP_EVERY.max(self.listing_takes());
        if is_due || ailment.is_some() || depth.is_some_and(|depth| depth.messages == 0) {
            return match self.sweep(ailment).await {
                Err(DispatchError::Location(error)) if self.stood.elapsed() < PATIENCE => {
                    tracing::warn!(%error, "cannot read the job state; it will be read again");
                    Ok(false)
                }
                swept => swept,
            };
        }
        match depth {
            Some(depth)
                if self.job.orders.allow_work()
                    && depth.idle_asks > 0
                    && depth.messages as usize <= COPIES_AT_ONCE =>
            {
                Ok(self.help_out(depth).await)
            }
            _ => Ok(false),
        }
    }

    fn ailment(&mut self, depth: Option<Depth>) -> Option<Ailment> {
        let seems_stuck = depth.is_some_and(|depth| depth.seems_stuck());
        let seemed_stuck = std::mem::replace(&mut self.seemed_stuck, seems_stuck);
        match depth {
            None => Some(Ailment::Gone),
            Some(_) if seems_stuck && seemed_stuck => Some(Ailment::Stuck),
            Some(_) => None,
        }
    }

    /// Least time between two listings of all commits, so that they never cost more than one request per
    /// second.
    fn listing_takes(&self) -> Duration {
        SWEEP_PER_SHARD * u32::try_from(self.job.plan.len()).unwrap_or(u32::MAX)
    }

    /// Compares plan, queue and commits, and puts the shards that the queue lost into it.
    ///
    /// The queue is read first, the bucket second: a shard in neither is lost. In the other order, every
    /// shard that finishes in between would be in neither, and would be executed again.
    async fn sweep(&mut self, ailment: Option<Ailment>) -> Result<bool, DispatchError> {
        self.swept = Instant::now();
        let mut queued = self.job.queue.shards().await;
        self.look_at_bucket().await?;
        self.stop_if_systemic()?;
        if self.is_finished() {
            return Ok(true);
        }
        if let Some(ailment) = ailment {
            (self.observe)(self.view.seen(&Change::QueueLost));
            if self.mend(ailment).await.is_err() {
                return Ok(false);
            }
            queued = Ok(HashSet::new());
        }
        let filled = match queued {
            Ok(queued) => self.fill(&queued).await,
            Err(error) => Err(error),
        };
        if let Err(error) = filled {
            tracing::warn!(%error, "the queue cannot be filled now; the next check tries again");
        }
        Ok(false)
    }

    async fn mend(&mut self, ailment: Ailment) -> Result<(), ConnectionError> {
        if ailment == Ailment::Stuck {
            // The stream delivers nothing, so its removal takes nothing from a worker pool.
            self.job.queue.remove().await?;
        }
        self.job.queue.ensure(self.job.ack_wait).await?;
        self.copied.clear();
        Ok(())
    }

    fn attempts(&self) -> u32 {
        self.job.record.settings.limits.attempts
    }

    fn quarantined(&self) -> Vec<capfilt_schemas::failure::Failure> {
        let state = |shard: &Shard| match self.now.of(&shard.id, self.attempts()) {
            ShardState::Quarantined(why) => Some(why.clone()),
            _ => None,
        };
        self.job.plan.iter().filter_map(state).collect()
    }

    /// Puts the open shards that are not queued into the queue.
    async fn fill(&self, queued: &HashSet<ShardId>) -> Result<u64, ConnectionError> {
        let open = self.now.remaining(self.job.plan, self.attempts());
        let forgotten = open.filter(|task| !queued.contains(&task.shard.id));
        self.job.queue.fill(forgotten.map(ShardMessage::from), Delivery::First).await
    }

    async fn look_at_bucket(&mut self) -> Result<(), DispatchError> {
        self.now = JobState::read_since(self.job.bucket, &self.now).await?;
        self.stood = Instant::now();
        self.view.count(&self.job, &self.now);
        Ok(())
    }

    fn is_finished(&mut self) -> bool {
        let is_finished = self.now.remaining(self.job.plan, self.attempts()).next().is_none();
        if is_finished {
            self.view.report.quarantined = self.quarantined();
        }
        is_finished
    }

    /// Near the end, with idle worker processes: `true` when every shard is done, even if the queue still
    /// holds messages. Otherwise idle processes get speculative copies of running shards, so that a slow or
    /// silent machine does not delay the end.
    async fn help_out(&mut self, depth: Depth) -> bool {
        if self.stood.elapsed() >= self.listing_takes()
            && self.look_at_bucket().await.is_ok()
            && self.is_finished()
        {
            return true;
        }
        if depth.pending == 0 {
            self.copy_open().await;
        }
        false
    }

    /// Queues a speculative copy of every shard that is still in the queue. A pool that takes a copy reads
    /// the state of its shard in the bucket first.
    async fn copy_open(&mut self) {
        let Ok(open) = self.job.queue.shards().await else { return };
        let plan = self.job.plan.iter();
        let uncopied = plan.filter(|shard| open.contains(&shard.id) && !self.copied.contains(&shard.id));
        let copies: Vec<ShardMessage> =
            uncopied.map(|shard| ShardMessage::new(shard.clone(), false)).collect();
        let ids: Vec<ShardId> = copies.iter().map(|copy| copy.shard.id.clone()).collect();
        if self.job.queue.fill(copies.into_iter(), Delivery::Speculative).await.is_ok() {
            self.view.progress.copies += ids.len() as u64;
            self.view.report.copies = self.view.progress.copies;
            self.copied.extend(ids);
        }
    }
}
