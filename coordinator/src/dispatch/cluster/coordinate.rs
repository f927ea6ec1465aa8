//! The coordinator's loop: keep the queue filled with what is open, until nothing is.

use super::{
    link::LinkError,
    queue::{Depth, JobQueue, Place},
};
use crate::{
    dispatch::{Before, Change, DispatchError, Observation, Outcome, Progress, Report},
    standing::{ShardState, Standing, standing, standing_since},
};
use async_nats::Subscriber;
use capfilt_bucket::Bucket;
use capfilt_schemas::{
    cluster::{End, News, ShardMessage, WorkerReport},
    job::JobRecord,
    plan::{Shard, ShardId},
};
use futures::StreamExt as _;
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often, at most, the bucket is listed although the queue is not empty: what the queue forgot is put back then.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The time between two sweeps grows with the job, so that their listings never cost more than a request a second.
const SWEEP_PER_SHARD: Duration = Duration::from_millis(1);

/// A worker that said nothing for so long is not counted any more.
const SILENT: Duration = Duration::from_secs(5);

/// Second copies that are put into the queue at a time.
const COPIES_AT_ONCE: usize = 64;

/// The parts of a job that is coordinated.
pub struct Coordinated<'a> {
    pub bucket: &'a Bucket,
    pub record: &'a JobRecord,
    pub plan: &'a [Shard],
    pub queue: JobQueue,
    /// A shard whose worker has said nothing for so long is given to somebody else.
    pub ack_wait: Duration,
}

/// Works until every shard is committed or quarantined, or until `stop` becomes true; then the queue stays, and so do the
/// workers. It is the caller's to [`JobQueue::remove`] it when the job is sealed.
///
/// # Errors
/// When a shard failed for a reason that would hold for every other, and when the store fails.
pub async fn coordinate(
    job: Coordinated<'_>,
    observe: impl FnMut(Observation<'_>),
    mut stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    let was_there = job.queue.ensure(job.ack_wait).await?;
    let queued = job.queue.shards().await?;
    let now = standing(job.bucket).await?;
    let known: HashSet<_> = now.failures.values().flatten().map(|failure| failure.attempt.0.clone()).collect();
    let view = View::open(&job, &now);
    let mut news = subscribe(&job.queue).await?;
    let mut run = Run { job, view, observe, now, known_failures: known, swept: Instant::now(), copied: HashSet::new() };
    if was_there {
        (run.observe)(run.view.seen(&Change::QueueFound));
    }
    run.fill(&queued).await?;
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            message = news.next() => match message {
                Some(message) => run.take_in(&message.payload)?,
                None => news = subscribe(&run.job.queue).await?,
            },
            _ = tick.tick() => if run.look().await? { return Ok(Outcome::Finished(run.view.report)) },
            Ok(()) = stop.changed() => if *stop.borrow() { return Ok(Outcome::Interrupted(run.view.report)) },
        }
    }
}

async fn subscribe(queue: &JobQueue) -> Result<Subscriber, LinkError> {
    let subscribed = queue.client.subscribe(queue.names.news()).await;
    subscribed.map_err(|error| LinkError::Settings {
        what: "cannot listen to the workers".to_owned(),
        why: error.to_string(),
    })
}

struct Run<'a, O> {
    job: Coordinated<'a>,
    view: View,
    observe: O,
    /// What the bucket said at the last sweep.
    now: Standing,
    /// Attempts whose failures were on record before: what they say is repaired, or it will be said again.
    known_failures: HashSet<String>,
    swept: Instant,
    /// Shards that have a second copy.
    copied: HashSet<ShardId>,
}

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    /// Looks at queue and bucket; `true` when nothing is open any more.
    async fn look(&mut self) -> Result<bool, DispatchError> {
        self.view.forget_silent();
        (self.observe)(self.view.seen(&Change::RowsDone));
        // A server that does not answer is waited for: the workers do their shards meanwhile.
        let Ok(depth) = self.job.queue.depth().await else { return Ok(false) };
        let shards = u32::try_from(self.job.plan.len()).unwrap_or(u32::MAX);
        let sweep_every = SWEEP_EVERY.max(SWEEP_PER_SHARD * shards);
        let is_due = self.swept.elapsed() >= sweep_every || depth.is_none_or(|depth| depth.messages == 0);
        if is_due {
            return self.sweep(depth).await;
        }
        if let Some(Depth { messages, pending: 0, idle_asks: 1.. }) = depth {
            self.copy_oldest(messages).await;
        }
        Ok(false)
    }

    /// Compares plan, queue and commits, and puts what the queue forgot into it.
    ///
    /// First the queue is looked at, then the bucket: what is in neither was forgotten. The other way round, every shard
    /// that is finished in between would be in neither, and be done again.
    async fn sweep(&mut self, depth: Option<Depth>) -> Result<bool, DispatchError> {
        self.swept = Instant::now();
        let queued = self.job.queue.shards().await;
        self.now = standing_since(self.job.bucket, &self.now).await?;
        self.stop_if_systemic()?;
        self.view.count(&self.job, &self.now);
        if self.now.remaining(self.job.plan, self.attempts()).next().is_none() {
            self.view.report.quarantined = self.quarantined();
            return Ok(true);
        }
        if depth.is_none() {
            (self.observe)(self.view.seen(&Change::QueueLost));
            if self.job.queue.ensure(self.job.ack_wait).await.is_err() {
                return Ok(false);
            }
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

    /// Gives idle workers copies of the shards that are being worked on: a slow or silent worker must not hold up the end.
    ///
    /// Which these are, the queue says: listing all commits every second would cost more than the copies. Whoever takes a
    /// copy asks the bucket about its shard first.
    async fn copy_oldest(&mut self, open: u64) {
        if open as usize > COPIES_AT_ONCE {
            return;
        }
        let Ok(open) = self.job.queue.shards().await else { return };
        let plan = self.job.plan.iter();
        let uncopied = plan.filter(|shard| open.contains(&shard.id) && !self.copied.contains(&shard.id));
        let copies: Vec<ShardMessage> =
            uncopied.map(|shard| ShardMessage { shard: shard.clone(), is_new: false }).collect();
        let ids: Vec<ShardId> = copies.iter().map(|copy| copy.shard.id.clone()).collect();
        if self.job.queue.fill(copies.into_iter(), Place::Again).await.is_ok() {
            self.copied.extend(ids);
        }
    }

    fn take_in(&mut self, payload: &[u8]) -> Result<(), DispatchError> {
        let change = match serde_json::from_slice(payload) {
            Ok(News::Alive(report)) => self.view.alive(report),
            Ok(News::Committed { shard, rows, tally, superseded }) => {
                self.view.report.superseded += u64::from(superseded);
                if !superseded {
                    self.view.report.committed += 1;
                    self.view.report.rows += rows;
                    self.view.progress.shards_committed += 1;
                    self.view.committed_rows += rows;
                }
                Some(Change::Committed { shard, rows, tally, superseded })
            }
            Ok(News::Failed { failure }) if failure.class.is_systemic() => {
                return Err(DispatchError::Systemic(Box::new(failure)));
            }
            Ok(News::Failed { failure }) => {
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

    /// News can be lost; the failures in the bucket cannot.
    fn stop_if_systemic(&self) -> Result<(), DispatchError> {
        let mut failures = self.now.failures.values().flatten();
        let new =
            failures.find(|failure| failure.class.is_systemic() && !self.known_failures.contains(&failure.attempt.0));
        new.map_or(Ok(()), |failure| Err(DispatchError::Systemic(Box::new(failure.clone()))))
    }
}

impl JobQueue {
    /// Tells all workers that it is over. Those who do not hear it find out from the bucket.
    pub async fn say_end(&self, end: &End) {
        let payload = serde_json::to_vec(end).expect("an end is plain data");
        let _ = self.client.publish(self.names.end(), payload.into()).await;
        let _ = tokio::time::timeout(LOOK_EVERY, self.client.flush()).await;
    }
}

/// What people are shown.
struct View {
    progress: Progress,
    committed_rows: u64,
    /// By name, with the time they were heard last.
    workers: BTreeMap<String, (Instant, WorkerReport)>,
    report: Report,
}

impl View {
    fn open(job: &Coordinated<'_>, now: &Standing) -> Self {
        let mut view = Self {
            progress: Progress::default(),
            committed_rows: 0,
            workers: BTreeMap::new(),
            report: Report::default(),
        };
        view.count(job, now);
        view
    }

    /// Takes the bucket's word for what is done.
    fn count(&mut self, job: &Coordinated<'_>, now: &Standing) {
        let before = Before::of(job.plan, now, job.record.settings.limits.attempts);
        self.progress.shards_total = job.plan.len() as u64;
        self.progress.rows_total = job.plan.iter().map(|shard| shard.rows).sum();
        self.progress.shards_committed = before.shards_committed;
        self.progress.shards_quarantined = before.shards_quarantined;
        self.committed_rows = before.rows;
    }

    fn alive(&mut self, report: WorkerReport) -> Option<Change> {
        let name = report.worker.clone();
        let is_new = self.workers.insert(name.clone(), (Instant::now(), report)).is_none();
        is_new.then_some(Change::Joined { worker: name })
    }

    fn forget_silent(&mut self) {
        self.workers.retain(|_, (heard, _)| heard.elapsed() < SILENT);
    }

    fn seen<'a>(&'a mut self, change: &'a Change) -> Observation<'a> {
        self.progress.rows_done = self.committed_rows;
        self.progress.machines = self.workers.values().map(|(_, report)| report.clone()).collect();
        let mut tally = capfilt_schemas::tally::Tally::default();
        self.progress.machines.iter().for_each(|report| tally.merge(&report.tally));
        self.progress.tally = tally;
        Observation { change, progress: &self.progress }
    }
}
