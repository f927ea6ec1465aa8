//! The coordinator's loop: keep the queue filled with what is open, until nothing is.

use super::{
    link::LinkError,
    queue::{Depth, JobQueue, Place},
    suspect::{self, LoadModels},
    view::View,
};
use crate::{
    dispatch::{Change, DispatchError, Observation, Outcome, attempts::span_of},
    standing::{ShardState, Standing, standing, standing_since},
};
use async_nats::Subscriber;
use capfilt_bucket::Bucket;
use capfilt_schemas::{
    cluster::{CoordinatorReport, End, News, ShardMessage},
    job::JobRecord,
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

/// How often, at most, the bucket is listed although the queue is not empty: what the queue forgot is put back then.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The time between two sweeps grows with the job, so that their listings never cost more than a request a second.
const SWEEP_PER_SHARD: Duration = Duration::from_millis(1);

/// A worker that said nothing for so long is not counted any more.
const SILENT: Duration = Duration::from_secs(5);

/// How long the store may fail before we give up; the workers do their shards meanwhile.
const PATIENCE: Duration = Duration::from_secs(600);

/// How long a server that was reached may then fail to make the queue.
const QUEUE_WITHIN: Duration = Duration::from_secs(30);

/// How often leaving workers are looked into: it reads all weights.
const LOOK_INTO_EVERY: Duration = Duration::from_secs(60);

/// Second copies that are put into the queue at a time.
const COPIES_AT_ONCE: usize = 64;

/// The parts of a job that is coordinated.
pub struct Coordinated<'a> {
    /// Host and process number.
    pub name: String,
    pub bucket: &'a Bucket,
    pub record: &'a JobRecord,
    pub plan: &'a [Shard],
    pub queue: JobQueue,
    /// A shard whose worker has said nothing for so long is given to somebody else.
    pub ack_wait: Duration,
    /// Asked when a worker left: it may not be that machine's fault.
    pub load_models: LoadModels,
}

/// Works until every shard is committed or quarantined, or until `stop` becomes true; then the queue stays, and so do the
/// workers. It is the caller's to [`JobQueue::remove`] it when the job is sealed.
///
/// Several coordinators of one job are harmless: each keeps the queue filled, and a place in it takes one message.
///
/// # Errors
/// When a shard failed for a reason that would hold for every other, when a worker left for a reason that holds here too,
/// and when the store fails.
pub async fn coordinate(
    job: Coordinated<'_>,
    observe: impl FnMut(Observation<'_>),
    mut stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    let now = standing(job.bucket).await?;
    let known: HashSet<_> = now.failures.values().flatten().map(|failure| failure.attempt.0.clone()).collect();
    let view = View::open(&job, &now);
    let mut news = job.queue.listen().await?;
    let mut run = Run {
        job,
        view,
        observe,
        now,
        known_failures: known,
        started: Instant::now(),
        swept: Instant::now(),
        stood: Instant::now(),
        seemed_stuck: false,
        copied: HashSet::new(),
        peers: HashSet::new(),
        left: None,
        looked_into: None,
    };
    tokio::select! {
        opened = run.open_queue() => opened?,
        Ok(_) = stop.wait_for(|stop| *stop) => return Ok(Outcome::Interrupted(run.view.report)),
    }
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = news.next() => match message {
                Some(message) => run.take_in(&message.payload)?,
                None => news = run.job.queue.listen().await?,
            },
            _ = tick.tick() => if run.look().await? { return Ok(Outcome::Finished(run.view.report)) },
            Ok(()) = stop.changed() => if *stop.borrow() { return Ok(Outcome::Interrupted(run.view.report)) },
        }
    }
}

struct Run<'a, O> {
    job: Coordinated<'a>,
    view: View,
    observe: O,
    /// What the bucket said at the last sweep.
    now: Standing,
    /// Attempts whose failures were on record before: what they say is repaired, or it will be said again.
    known_failures: HashSet<String>,
    started: Instant,
    swept: Instant,
    /// When the bucket told last where the job stands.
    stood: Instant,
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
    /// Makes the queue and puts into it what is open. A server may go away between its first answer and this one.
    async fn open_queue(&mut self) -> Result<(), DispatchError> {
        let mut told = String::new();
        loop {
            let error = match self.try_open_queue().await {
                Err(DispatchError::Link(error)) if self.started.elapsed() < QUEUE_WITHIN => error,
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
        self.tell_of_us().await;
        self.look_into_leaving().await?;
        (self.observe)(self.view.seen(&Change::RowsDone));
        // A server that does not answer is waited for: the workers do their shards meanwhile.
        let Ok(depth) = self.job.queue.depth().await else { return Ok(false) };
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

    /// The least time between two listings of all commits, so that they never cost more than a request a second.
    fn listing_takes(&self) -> Duration {
        SWEEP_PER_SHARD * u32::try_from(self.job.plan.len()).unwrap_or(u32::MAX)
    }

    /// Compares plan, queue and commits, and puts what the queue forgot into it.
    ///
    /// First the queue is looked at, then the bucket: what is in neither was forgotten. The other way round, every shard
    /// that is finished in between would be in neither, and be done again.
    async fn sweep(&mut self, ailment: Option<Ailment>) -> Result<bool, DispatchError> {
        self.swept = Instant::now();
        let mut queued = self.job.queue.shards().await;
        self.look_at_bucket().await?;
        self.stop_if_systemic()?;
        self.view.count(&self.job, &self.now);
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

    async fn mend(&mut self, ailment: Ailment) -> Result<(), LinkError> {
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
    async fn fill(&self, queued: &HashSet<ShardId>) -> Result<u64, LinkError> {
        let open = self.now.remaining(self.job.plan, self.attempts());
        let forgotten = open.filter(|task| !queued.contains(&task.shard.id));
        self.job.queue.fill(forgotten.map(ShardMessage::from), Place::First).await
    }

    async fn look_at_bucket(&mut self) -> Result<(), DispatchError> {
        self.now = standing_since(self.job.bucket, &self.now).await?;
        self.stood = Instant::now();
        Ok(())
    }

    fn is_finished(&mut self) -> bool {
        let is_finished = self.now.remaining(self.job.plan, self.attempts()).next().is_none();
        if is_finished {
            self.view.report.quarantined = self.quarantined();
        }
        is_finished
    }

    /// Near the end, when workers are idle: `true` when all is done, whatever the queue still holds. Else they get copies of
    /// the shards that are being worked on: a slow or silent worker must not hold up the end.
    async fn help_out(&mut self, depth: Depth) -> bool {
        if self.stood.elapsed() >= self.listing_takes() && self.look_at_bucket().await.is_ok() && self.is_finished() {
            return true;
        }
        if depth.pending == 0 {
            self.copy_open().await;
        }
        false
    }

    /// Which shards are being worked on, the queue says; whoever takes a copy asks the bucket about its shard first.
    async fn copy_open(&mut self) {
        let Ok(open) = self.job.queue.shards().await else { return };
        let plan = self.job.plan.iter();
        let uncopied = plan.filter(|shard| open.contains(&shard.id) && !self.copied.contains(&shard.id));
        let copies: Vec<ShardMessage> = uncopied.map(|shard| ShardMessage::new(shard.clone(), false)).collect();
        let ids: Vec<ShardId> = copies.iter().map(|copy| copy.shard.id.clone()).collect();
        if self.job.queue.fill(copies.into_iter(), Place::Again).await.is_ok() {
            self.view.progress.copies += ids.len() as u64;
            self.view.report.copies = self.view.progress.copies;
            self.copied.extend(ids);
        }
    }

    fn take_in(&mut self, payload: &[u8]) -> Result<(), DispatchError> {
        let change = match serde_json::from_slice(payload) {
            Ok(News::Alive(report)) => self.view.alive(report),
            Ok(News::Committed { shard, rows, tally, superseded, cost }) => {
                if superseded {
                    self.view.waste(rows);
                }
                if !superseded {
                    self.view.report.committed += 1;
                    self.view.report.rows += rows;
                    self.view.progress.shards_committed += 1;
                    self.view.committed_rows += rows;
                }
                Some(Change::Committed { shard, rows, tally, superseded, cost })
            }
            Ok(News::Failed { failure }) if failure.class.is_systemic() => {
                return Err(DispatchError::Systemic(Box::new(failure)));
            }
            Ok(News::Left { worker, why }) => {
                self.left = Some((worker.clone(), why.clone()));
                Some(Change::Left { worker, why })
            }
            Ok(News::Coordinating(other)) => self.hear_of(other),
            Ok(News::Failed { failure }) => {
                span_of(&failure)
                    .in_scope(|| tracing::warn!(class = %failure.class, "{}: {}", failure.class, failure.message));
                self.view.report.retries += 1;
                self.view.progress.retries += 1;
                Some(Change::Retrying { failure })
            }
            Err(error) => {
                tracing::debug!(%error, "news of another version of capfilt");
                None
            }
        };
        if let Some(change) = change {
            (self.observe)(self.view.seen(&change));
        }
        Ok(())
    }

    /// A worker that cannot go on may be the first of all.
    async fn look_into_leaving(&mut self) -> Result<(), DispatchError> {
        if self.looked_into.is_some_and(|at| at.elapsed() < LOOK_INTO_EVERY) {
            return Ok(());
        }
        let Some((worker, why)) = self.left.take() else { return Ok(()) };
        let Coordinated { bucket, record, load_models, .. } = self.job;
        let found = suspect::look(bucket, record, load_models).await;
        self.looked_into = Some(Instant::now());
        found.map_err(|found| DispatchError::Broken { found: Box::new(found), worker, why })
    }

    /// So that other coordinators of this job know of this one.
    async fn tell_of_us(&self) {
        let seconds_up = self.started.elapsed().as_secs_f64();
        let report = CoordinatorReport { coordinator: self.job.name.clone(), seconds_up };
        let payload = serde_json::to_vec(&News::Coordinating(report)).expect("news are plain data");
        let _ = self.job.queue.client.publish(self.job.queue.names.news(), payload.into()).await;
    }

    fn hear_of(&mut self, other: CoordinatorReport) -> Option<Change> {
        let is_new = other.coordinator != self.job.name && self.peers.insert(other.coordinator.clone());
        is_new.then_some(Change::Coordinator(other))
    }

    /// News can be lost; the failures in the bucket cannot.
    fn stop_if_systemic(&self) -> Result<(), DispatchError> {
        let mut failures = self.now.failures.values().flatten();
        let new =
            failures.find(|failure| failure.class.is_systemic() && !self.known_failures.contains(&failure.attempt.0));
        new.map_or(Ok(()), |failure| Err(DispatchError::Systemic(Box::new(failure.clone()))))
    }
}

impl JobQueue {
    /// What the workers say from now on.
    pub(super) async fn listen(&self) -> Result<Subscriber, LinkError> {
        let subscribed = self.client.subscribe(self.names.news()).await;
        let what = "cannot listen to the workers".to_owned();
        subscribed.map_err(|error| LinkError::Settings { what, why: error.to_string() })
    }

    /// Tells all workers that it is over. Those who do not hear it find out from the bucket.
    pub async fn say_end(&self, end: &End) {
        let payload = serde_json::to_vec(end).expect("an end is plain data");
        let _ = self.client.publish(self.names.end(), payload.into()).await;
        let _ = tokio::time::timeout(LOOK_EVERY, self.client.flush()).await;
    }
}
