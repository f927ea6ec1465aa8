//! The coordinator's loop: keep the queue filled with what is open, until nothing is.

use super::{
    link::LinkError,
    queue::{Depth, JobQueue, Place},
    suspect,
};
use crate::{
    dispatch::{Change, DispatchError, Observation, Outcome, Progress, Report, Work},
    standing::{ShardState, Standing, standing},
};
use async_nats::Subscriber;
use capfilt_bucket::Bucket;
use capfilt_schemas::{
    cluster::{CoordinatorReport, End, News, ShardMessage, WorkerReport},
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

/// How often the bucket is listed although the queue is not empty: what the queue forgot is put back then.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// A worker that said nothing for so long is not counted any more.
const SILENT: Duration = Duration::from_secs(5);

/// How long a queue that cannot be made is tried for: servers that have just started first elect who decides.
const MAKE_QUEUE: Duration = Duration::from_secs(120);

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
    let mut news = subscribe(&job.queue).await?;
    let mut run = Run {
        job,
        view,
        observe,
        known_failures: known,
        started: Instant::now(),
        swept: Instant::now(),
        copied: HashSet::new(),
        peers: HashSet::new(),
        left: None,
    };
    tokio::select! {
        made = run.make_queue() => made?,
        Ok(_) = stop.wait_for(|stop| *stop) => return Ok(Outcome::Interrupted(run.view.report)),
    }
    run.fill(&now).await?;
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
    /// Attempts whose failures were on record before: what they say is repaired, or it will be said again.
    known_failures: HashSet<String>,
    started: Instant,
    swept: Instant,
    /// Shards that have a second copy.
    copied: HashSet<ShardId>,
    /// Other coordinators that were heard.
    peers: HashSet<String>,
    /// A worker that left since it could not go on, and why; to be looked into.
    left: Option<(String, String)>,
}

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    async fn make_queue(&mut self) -> Result<(), DispatchError> {
        let mut told = String::new();
        loop {
            match self.job.queue.ensure(self.job.ack_wait).await {
                Ok(was_there) if was_there => return Ok((self.observe)(self.view.seen(&Change::QueueFound))),
                Ok(_) => return Ok(()),
                Err(error) if self.started.elapsed() > MAKE_QUEUE => return Err(error.into()),
                Err(error) if error.to_string() != told => {
                    told = error.to_string();
                    (self.observe)(self.view.seen(&Change::QueueWaits { why: told.clone() }));
                }
                Err(_) => {}
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Looks at queue and bucket; `true` when nothing is open any more.
    async fn look(&mut self) -> Result<bool, DispatchError> {
        self.view.forget_silent();
        self.tell_of_us().await;
        if let Some((worker, why)) = self.left.take() {
            suspect::look(self.job.bucket, self.job.record).await.map_err(|found| DispatchError::Broken {
                found: Box::new(found),
                worker,
                why,
            })?;
        }
        (self.observe)(self.view.seen(&Change::RowsDone));
        // A server that does not answer is waited for: the workers do their shards meanwhile.
        let Ok(depth) = self.job.queue.depth().await else { return Ok(false) };
        let is_due = self.swept.elapsed() >= SWEEP_EVERY || depth.is_none_or(|depth| depth.messages == 0);
        if is_due {
            return self.sweep(depth).await;
        }
        if let Some(Depth { messages, pending: 0, idle_asks: 1.. }) = depth {
            self.copy_oldest(messages).await;
        }
        Ok(false)
    }

    /// Compares plan and commits, and puts what is open into the queue.
    async fn sweep(&mut self, depth: Option<Depth>) -> Result<bool, DispatchError> {
        self.swept = Instant::now();
        let now = standing(self.job.bucket).await?;
        self.stop_if_systemic(&now).await?;
        self.view.count(&self.job, &now);
        if now.remaining(self.job.plan, self.attempts()).next().is_none() {
            self.view.report.quarantined = self.quarantined(&now);
            return Ok(true);
        }
        if depth.is_none() {
            (self.observe)(self.view.seen(&Change::QueueLost));
            if self.job.queue.ensure(self.job.ack_wait).await.is_err() {
                return Ok(false);
            }
        }
        if let Err(DispatchError::Link(error)) = self.fill(&now).await {
            tracing::warn!(%error, "the queue cannot be filled now; trying again");
        }
        Ok(false)
    }

    fn attempts(&self) -> u32 {
        self.job.record.settings.limits.attempts
    }

    fn quarantined(&self, now: &Standing) -> Vec<capfilt_schemas::failure::Failure> {
        let state = |shard: &Shard| match now.of(&shard.id, self.attempts()) {
            ShardState::Quarantined(why) => Some(why.clone()),
            _ => None,
        };
        self.job.plan.iter().filter_map(state).collect()
    }

    async fn fill(&self, now: &Standing) -> Result<u64, DispatchError> {
        let open: Vec<ShardMessage> = now.remaining(self.job.plan, self.attempts()).map(ShardMessage::from).collect();
        Ok(self.job.queue.fill(open.iter().map(|message| (message, Place::First))).await?)
    }

    /// Gives idle workers copies of the shards that are being worked on: a slow or silent worker must not hold up the end.
    async fn copy_oldest(&mut self, open: u64) {
        if open as usize > COPIES_AT_ONCE {
            return;
        }
        let Ok(now) = standing(self.job.bucket).await else { return };
        let remaining = now.remaining(self.job.plan, self.attempts());
        let copies: Vec<ShardMessage> =
            remaining.filter(|task| !self.copied.contains(&task.shard.id)).map(ShardMessage::from).collect();
        if self.job.queue.fill(copies.iter().map(|message| (message, Place::Again))).await.is_ok() {
            self.copied.extend(copies.into_iter().map(|message| message.shard.id));
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
            Ok(News::Left { worker, why }) => {
                self.left = Some((worker.clone(), why.clone()));
                Some(Change::Left { worker, why })
            }
            Ok(News::Coordinating(other)) => self.hear_of(other),
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
    async fn stop_if_systemic(&self, now: &Standing) -> Result<(), DispatchError> {
        let mut failures = now.failures.values().flatten();
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
        let before = Work::remaining(job.plan, now, job.record.settings.limits.attempts).before;
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
