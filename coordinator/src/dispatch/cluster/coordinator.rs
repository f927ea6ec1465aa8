//! The coordinator's loop: keep the queue filled with what is open, until nothing is.

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
    cluster::{CoordinatorReport, End, News, ShardMessage},
    plan::{Shard, ShardId},
};
use futures::StreamExt as _;
use std::{collections::HashSet, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often, at most, the bucket is listed although the queue is not empty: what the queue forgot is put
/// back then.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The time between two sweeps grows with the job, so that their listings never cost more than a request a
/// second.
const SWEEP_PER_SHARD: Duration = Duration::from_millis(1);

/// A worker that said nothing for so long is not counted any more.
const SILENT: Duration = Duration::from_secs(5);

/// How long the store may fail before we give up; the workers do their shards meanwhile.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a server that was reached may then fail to make the queue.
const QUEUE_WITHIN: Duration = Duration::from_secs(30);

/// Second copies that are put into the queue at a time.
const COPIES_AT_ONCE: usize = 64;

/// Works until every shard is committed or quarantined, or until `stop` becomes true; then the queue stays,
/// and so do the workers. It is the caller's to [`JobQueue::remove`] it when the job is sealed.
///
/// Several coordinators of one job are harmless: each keeps the queue filled, and a place in it takes one
/// message.
///
/// # Errors
/// When a shard failed for a reason that would hold for every other, when a worker left for a reason that
/// holds here too, and when the store fails.
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
    };
    // Whatever it waits for, store or server, is left when it is told to stop: nothing here is held that the
    // bucket lacks.
    let worked = tokio::select! {
        worked = run.work(news) => Some(worked),
        Ok(_) = stop.wait_for(|stop| *stop) => None,
    };
    match worked {
        Some(worked) => worked.map(|()| Outcome::Finished(run.view.into_report())),
        None => Ok(Outcome::Interrupted(run.view.into_report())),
    }
}

struct Run<'a, O> {
    job: CoordinatedJob<'a>,
    view: ClusterProgress,
    observe: O,
    /// What the bucket said at the last sweep.
    now: JobState,
    /// AttemptSpans whose failures were on record before: what they say is repaired, or it will be said
    /// again.
    known_failures: HashSet<String>,
    started: Instant,
    swept: Instant,
    /// When the bucket told last where the job stands.
    stood: Instant,
    contact: Contact,
    /// When a worker was there last; at first, when this began.
    worker_heard: Instant,
    /// Whether the queue had something and gave out nothing, when it was looked at last.
    seemed_stuck: bool,
    /// Shards that have a second copy.
    copied: HashSet<ShardId>,
    /// Other coordinators that were heard.
    peers: HashSet<String>,
    /// A worker that left since it could not go on, and why; to be looked into.
    left: Option<(String, String)>,
    looked_into: Option<Instant>,
}

/// What is wrong with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ailment {
    Gone,
    /// It holds messages that it gives to nobody.
    Stuck,
}

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    /// Fills the queue, and looks after it until nothing is open any more.
    async fn work(&mut self, mut news: Subscriber) -> Result<(), DispatchError> {
        self.open_queue().await?;
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = news.next() => match message {
                    Some(message) => self.take_in(&message.payload)?,
                    None => news = self.job.queue.listen().await?,
                },
                _ = tick.tick() => if self.look().await? { return Ok(()) },
            }
        }
    }

    /// Makes the queue and puts into it what is open. A server may go away between its first answer and this
    /// one.
    async fn open_queue(&mut self) -> Result<(), DispatchError> {
        let mut told = String::new();
        loop {
            let error = match self.try_open_queue().await {
                Err(error @ DispatchError::Connection(ConnectionError::NoJetStream { .. })) => {
                    return Err(error);
                }
                Err(DispatchError::Connection(error)) if self.started.elapsed() < QUEUE_WITHIN => error,
                opened => return opened,
            };
            let why = error.to_string();
            if why != told {
                told.clone_from(&why);
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

    /// Looks at queue and bucket; `true` when nothing is open any more.
    async fn look(&mut self) -> Result<bool, DispatchError> {
        self.view.workers.forget_silent(SILENT);
        self.look_into_leaving().await?;
        let Some(depth) = self.depth().await else { return self.look_without_server().await };
        self.tell_of_us().await;
        self.tell_of_trouble();
        tracing::debug!(?depth, "looked at the queue");
        let ailment = self.ailment(depth);
        let is_due = self.swept.elapsed() >= SWEEP_EVERY.max(self.listing_takes());
        if is_due || ailment.is_some() || depth.is_some_and(|depth| depth.messages == 0) {
            return match self.sweep(ailment).await {
                Err(DispatchError::Bucket(error)) if self.stood.elapsed() < PATIENCE => {
                    tracing::warn!(%error, "cannot see where the job stands; looking again");
                    Ok(false)
                }
                swept => swept,
            };
        }
        match depth {
            Some(depth) if depth.idle_asks > 0 && depth.messages as usize <= COPIES_AT_ONCE => {
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

    /// The least time between two listings of all commits, so that they never cost more than a request a
    /// second.
    fn listing_takes(&self) -> Duration {
        SWEEP_PER_SHARD * u32::try_from(self.job.plan.len()).unwrap_or(u32::MAX)
    }

    /// Compares plan, queue and commits, and puts what the queue forgot into it.
    ///
    /// First the queue is looked at, then the bucket: what is in neither was forgotten. The other way round,
    /// every shard that is finished in between would be in neither, and be done again.
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
            tracing::warn!(%error, "the queue cannot be filled now; trying again");
        }
        Ok(false)
    }

    async fn mend(&mut self, ailment: Ailment) -> Result<(), ConnectionError> {
        if ailment == Ailment::Stuck {
            // Nobody has anything from it.
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

    /// Puts what is open and not queued into the queue.
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

    /// Near the end, when workers are idle: `true` when all is done, whatever the queue still holds. Else
    /// they get copies of the shards that are being worked on: a slow or silent worker must not hold up the
    /// end.
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

    /// Which shards are being worked on, the queue says; whoever takes a copy asks the bucket about its shard
    /// first.
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
