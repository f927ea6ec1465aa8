//! The children of one machine, one per device, kept busy with the shards of a queue in memory and of a
//! [`ShardSource`].
//!
//! One task owns all state and takes in one thing at a time: what a child message, the source's next shard,
//! the clock's tick, or the wish to stop. Children that die are replaced after a back-off; see
//! [`RetryPolicy`] for every bound.

mod shutdown;

use super::{
    Change, DispatchError, Observation, Outcome, Work,
    attempt_spans::AttemptSpans,
    queue::{Effect, Queue},
    retry_policy::RetryPolicy,
    shard_source::{ShardSource, Sourced},
    totals::Totals,
    worker_process::{Exit, ExitCause, FromWorker, WorkerMessage, WorkerProcess},
    worker_slot::{Running, WorkerSlot, back_off},
};
use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError};
use capfilt_schemas::{
    failure::{self, Failure, FailureClass},
    job::JobDigest,
    names::{self, AttemptId},
    pipe::{Assignment, Event, SHARDS_IN_CHILD},
    plan::ShardId,
};
use std::time::Duration;
use tokio::{
    process::Command,
    sync::{mpsc, watch},
    time::{Instant, interval, sleep},
};

/// How often due back-offs and silent children are looked for.
const TICK: Duration = Duration::from_millis(50);

/// The observer is told where things stand at least so often: who watches from elsewhere wants to hear of an
/// idle worker.
const NOTIFY_EVERY: Duration = Duration::from_secs(1);

/// Messages from all children that wait to be taken in. A child that talks faster than we listen is held up
/// by its pipe.
const MESSAGES_BOUND: usize = 256;

/// How long a failure's record may take, once the run is told to stop.
const RECORD_WHEN_LEAVING: Duration = Duration::from_secs(2);

/// Where children are messages, and what tells the run to stop.
type Channels = (mpsc::Sender<FromWorker>, watch::Receiver<bool>);

/// Who works, and on what conditions.
pub struct WorkerPool<C> {
    /// One child each.
    pub devices: Vec<String>,
    /// Gives the process for a device and a worker number. It must speak [`capfilt_schemas::pipe`].
    pub command: C,
    pub policy: RetryPolicy,
}

/// Works until the source has exit and every shard is committed, quarantined or given back, or until `stop`
/// becomes true; when it is told so once more, nothing is finished and all is given back.
///
/// # Errors
/// When going on makes no sense; see [`DispatchError`]. No child outlives the call, whatever its result.
pub async fn run<F: ShardSource>(
    bucket: &Bucket,
    work: Work,
    pool: WorkerPool<impl Fn(&str, usize) -> Command>,
    source: F,
    observe: impl FnMut(Observation<'_>),
    mut stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    let (messages_in, mut messages) = mpsc::channel(MESSAGES_BOUND);
    let mut run = Run::new(bucket, work, pool, source, observe, (messages_in, stop.clone()));
    let worked = run.work(&mut messages, &mut stop).await;
    run.announce_failure(&worked);
    // However it ends, children finish what they can soon: a commit made while leaving counts.
    let is_all_done = run.shut_down(&mut messages, &mut stop).await;
    let is_finished = is_all_done && run.is_finished();
    run.totals.waste(run.queue.copies(), run.queue.wasted_rows());
    run.notify(Change::Ends);
    run.source.close().await;
    worked?;
    let report = run.totals.report;
    Ok(if is_finished { Outcome::Finished(report) } else { Outcome::Interrupted(report) })
}

struct Run<'a, C, F, O> {
    bucket: &'a Bucket,
    job: Option<JobDigest>,
    queue: Queue,
    source: F,
    /// Whether the source has message that nothing follows.
    source_ended: bool,
    slots: Vec<WorkerSlot>,
    command: C,
    policy: RetryPolicy,
    observe: O,
    messages_in: mpsc::Sender<FromWorker>,
    /// Shards in their back-off, with its end.
    retries: Vec<(Instant, ShardId)>,
    /// AttemptSpans that failed for the store since the last commit.
    store_failures: u32,
    /// Shards that were given back when the run exit.
    given_back: usize,
    totals: Totals,
    spans: AttemptSpans,
    stop: watch::Receiver<bool>,
    /// When the observer was told something last.
    notified: Instant,
}

impl<'a, C: Fn(&str, usize) -> Command, F: ShardSource, O: FnMut(Observation<'_>)> Run<'a, C, F, O> {
    fn new(
        bucket: &'a Bucket,
        work: Work,
        pool: WorkerPool<C>,
        source: F,
        observe: O,
        ends: Channels,
    ) -> Self {
        let (messages_in, stop) = ends;
        let Work { tasks, attempts, before, job } = work;
        let WorkerPool { devices, command, policy } = pool;
        let rows = tasks.iter().map(|task| task.shard.rows).sum();
        let totals = Totals::open(before, tasks.len() as u64, rows);
        let slots: Vec<WorkerSlot> =
            devices.iter().enumerate().map(|(i, device)| WorkerSlot::new(device, i)).collect();
        let queue = Queue::new(tasks, attempts, slots.len());
        Self {
            bucket,
            job,
            queue,
            source,
            source_ended: false,
            slots,
            command,
            policy,
            observe,
            messages_in,
            retries: Vec::new(),
            store_failures: 0,
            given_back: 0,
            totals,
            spans: AttemptSpans::default(),
            stop,
            notified: Instant::now(),
        }
    }

    fn is_finished(&self) -> bool {
        self.source_ended && self.queue.is_finished()
    }

    /// Whether another shard would find a place: one for every child that has none, and one ahead.
    fn wants_more(&self) -> bool {
        !self.source_ended
            && !self.queue.has_pending()
            && self.queue.held() < self.slots.len() * SHARDS_IN_CHILD
    }

    /// Hands out shards until all are decided or `stop` is true.
    async fn work(
        &mut self,
        messages: &mut mpsc::Receiver<FromWorker>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), DispatchError> {
        let mut tick = interval(TICK);
        while !self.is_finished() && !*stop.borrow_and_update() {
            self.start_due()?;
            self.hand_out();
            let wants_more = self.wants_more();
            tokio::select! {
                fed = self.source.next(wants_more), if !self.source_ended => self.on_sourced(fed?),
                message = messages.recv() => {
                    let (worker, message) = message.expect("this run holds a sender itself");
                    self.on_message(worker, message).await?;
                }
                _ = tick.tick() => self.on_tick(),
                // A sender that is gone can ask for nothing any more.
                Ok(()) = stop.changed() => {}
            }
        }
        Ok(())
    }

    fn on_sourced(&mut self, fed: Sourced) {
        match fed {
            Sourced::Task(task) => {
                self.totals.add(task.shard.rows);
                self.queue.add(*task);
            }
            Sourced::End => self.source_ended = true,
            Sourced::Settled => {
                self.source_ended = true;
                self.queue.lose_all();
            }
        }
    }

    fn start_due(&mut self) -> Result<(), DispatchError> {
        let now = Instant::now();
        for worker in 0..self.slots.len() {
            // A child that would get no shard need not load its models.
            let has_work = self.queue.pending() > self.slots.iter().filter(|slot| slot.is_starting()).count();
            if has_work && self.slots[worker].is_due(now) {
                let device = self.slots[worker].device.clone();
                let child =
                    WorkerProcess::spawn((self.command)(&device, worker), worker, self.messages_in.clone())
                        .map_err(|source| DispatchError::Spawn { device, source })?;
                self.slots[worker].start(child);
                self.notify(Change::WorkerStarted { worker });
            }
        }
        Ok(())
    }

    /// First a shard for everyone who has none, then second ones. Who has none then, when nothing follows,
    /// helps with what others have.
    fn hand_out(&mut self) {
        for held in 0..SHARDS_IN_CHILD {
            self.offer(held, Queue::next);
        }
        if self.source_ended {
            self.offer(0, Queue::next_copy);
        }
    }

    /// Offers a shard to everyone who holds so many.
    fn offer(&mut self, held: usize, next: fn(&mut Queue, usize, AttemptId) -> Option<Assignment>) {
        for (worker, slot) in self.slots.iter_mut().enumerate() {
            let (name, device) = (slot.worker.clone(), slot.device.clone());
            let Some(running) = slot.running().filter(|running| running.is_ready && !running.is_hung) else {
                continue;
            };
            if self.queue.held_by(worker).0 != held {
                continue;
            }
            if let Some(assignment) = next(&mut self.queue, worker, AttemptId::from_random(rand::random())) {
                running.last_message = Instant::now();
                self.spans.begin(&assignment, worker, &name, &device);
                running.child.assign(&assignment);
            }
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.notified) >= NOTIFY_EVERY {
            self.notify(Change::RowsDone);
        }
        let (due, later) =
            std::mem::take(&mut self.retries).into_iter().partition(|(until, _)| *until <= now);
        self.retries = later;
        due.iter().for_each(|(_, shard): &(Instant, ShardId)| self.queue.release(shard));
        for (worker, slot) in self.slots.iter_mut().enumerate() {
            let has_work = self.queue.held_by(worker).0 > 0;
            if let Some(running) = slot.running() {
                running.kill_when_silent(now, self.policy.silence, has_work);
            }
        }
    }

    async fn on_message(&mut self, worker: usize, message: WorkerMessage) -> Result<(), DispatchError> {
        if let Some(running) = self.slots[worker].running() {
            running.last_message = Instant::now();
        }
        match message {
            WorkerMessage::Event(event) => self.on_event(worker, event).await,
            WorkerMessage::Line(line) => {
                self.notify(Change::WorkerSaid { worker, line });
                Ok(())
            }
            WorkerMessage::Exited(exit) => self.on_exit(worker, exit).await,
        }
    }

    async fn on_event(&mut self, worker: usize, event: Event) -> Result<(), DispatchError> {
        let effect = self.queue.on(worker, &event);
        self.totals.waste(self.queue.copies(), self.queue.wasted_rows());
        self.spans.hear(&event);
        match event {
            Event::Ready { device, worker: name } => {
                self.slots[worker].failed_starts = 0;
                if !name.is_empty() {
                    self.slots[worker].worker = name;
                }
                if let Some(running) = self.slots[worker].running() {
                    running.is_ready = true;
                }
                self.notify(Change::WorkerReady { worker, device });
            }
            Event::Handling { .. } => {}
            Event::Started { .. } => {
                if let Some(running) = self.slots[worker].running() {
                    running.on_device_since = Instant::now();
                }
                self.notify(Change::RowsDone);
            }
            Event::Progress { .. } => self.notify(Change::RowsDone),
            Event::Committed { shard, rows, tally, superseded, cost, .. }
                if matches!(effect, Effect::Committed | Effect::Won) =>
            {
                self.store_failures = 0;
                self.slots[worker].deaths_in_row = 0;
                self.slots[worker].batch = Some(cost.batch);
                match effect {
                    Effect::Won => self.totals.win(rows, &tally),
                    _ if superseded => self.totals.lose(rows),
                    _ => self.totals.commit(rows, &tally),
                }
                self.source.done(&shard);
                self.notify(Change::Committed { shard, rows, tally, superseded, cost });
            }
            // Another attempt was first, or the shard was given back before: the bucket knows what counts.
            Event::Committed { .. } => {}
            Event::Failed { failure } => self.settle(failure, effect).await?,
        }
        Ok(())
    }

    async fn on_exit(&mut self, worker: usize, exit: Exit) -> Result<(), DispatchError> {
        let Some(running) = self.slots[worker].end(self.policy.restart, exit.cause != ExitCause::FromOutside)
        else {
            return Ok(());
        };
        let how = running.explain(&exit, self.policy.silence);
        self.totals.report.restarts += 1;
        let class = class_of(&running, exit.cause);
        for blamed in self.queue.lost(worker, class) {
            let worker = self.slots[worker].worker.clone();
            let message = format!("its worker exit: {how}");
            let failure = Failure {
                version: failure::VERSION,
                shard: blamed.shard,
                attempt: blamed.attempt,
                worker,
                class,
                message,
                crash: blamed.crash,
                job: self.job.clone(),
            };
            self.settle(failure, blamed.effect).await?;
        }
        self.spans.end_all_of(worker);
        self.notify(Change::WorkerEnded { worker, how: how.clone() });
        self.may_go_on(worker, &running, exit, how)
    }

    /// Whether replacing a dead child makes sense.
    fn may_go_on(
        &self,
        worker: usize,
        running: &Running,
        exit: Exit,
        how: String,
    ) -> Result<(), DispatchError> {
        let (slot, last_words) = (&self.slots[worker], exit.last_words);
        let says_so = !running.is_ready && exit.cause == ExitCause::Environment;
        if says_so || (slot.failed_starts >= self.policy.failed_starts && !running.is_ready) {
            return Err(DispatchError::WorkerCannotStart { device: slot.device.clone(), how, last_words });
        }
        let kills = self.queue.kills_since_commit();
        if kills >= self.policy.kills {
            return Err(DispatchError::WorkersKilled { kills, how, last_words });
        }
        Ok(())
    }

    /// Writes a failure's record. A store that is away is waited for, but not by a run that is told to stop:
    /// the shard goes back, and is tried again.
    async fn record(&mut self, name: &str, record: Bytes) -> Result<(), BucketError> {
        let told = async {
            if self.stop.wait_for(|stop| *stop).await.is_err() {
                // A sender that is gone can ask for nothing any more.
                std::future::pending::<()>().await;
            }
            sleep(RECORD_WHEN_LEAVING).await;
        };
        tokio::select! {
            biased;
            created = self.bucket.create(name, record) => created.map(drop),
            () = told => {
                tracing::warn!("told to stop; the failure is not recorded");
                Ok(())
            }
        }
    }

    /// Records a failed attempt and does what the queue made of it.
    async fn settle(&mut self, failure: Failure, effect: Effect) -> Result<(), DispatchError> {
        let next = match effect {
            Effect::Retry { .. } => "trying again",
            Effect::Quarantined => "set aside",
            Effect::Stop => "stopping, since it would go wrong with every shard",
            Effect::Noted | Effect::Committed | Effect::Won | Effect::Lost => "another attempt does it",
        };
        self.spans.end(&failure.attempt).in_scope(
            || tracing::warn!(class = %failure.class, "{}: {}; {next}", failure.class, failure.message),
        );
        if effect == Effect::Lost {
            return Ok(());
        }
        let name = names::failure(&failure.shard, &failure.attempt);
        let bytes = serde_json::to_vec_pretty(&failure).expect("a failure record is plain data");
        let recorded = self.record(&name, Bytes::from(bytes)).await;
        if effect == Effect::Stop {
            // Where nothing can be written, not even this, its reason is what the failure says.
            self.notify(Change::Stopping { failure: failure.clone() });
            return Err(DispatchError::Systemic(Box::new(failure)));
        }
        recorded?;
        self.count_store_failures(&failure)?;
        match effect {
            Effect::Noted | Effect::Committed | Effect::Won | Effect::Lost => {
                self.notify(Change::GivenBack { failure });
            }
            Effect::Retry { failures } => {
                let after = back_off(self.policy.retry, failures);
                if self.source.keeps_failed() {
                    self.retries.push((Instant::now() + after, failure.shard.clone()));
                } else {
                    self.queue.forget(&failure.shard);
                    self.source.give_back(&failure.shard, after);
                }
                self.totals.report.retries += 1;
                self.notify(Change::Retrying { failure });
            }
            Effect::Quarantined => {
                self.source.done(&failure.shard);
                self.totals.report.quarantined.push(failure.clone());
                self.notify(Change::Quarantined { failure });
            }
            Effect::Stop => unreachable!("it was dealt with above"),
        }
        Ok(())
    }

    /// Stops when the store fails and fails: every further shard would be computed for nothing.
    fn count_store_failures(&mut self, failure: &Failure) -> Result<(), DispatchError> {
        self.store_failures += u32::from(failure.class == FailureClass::Store);
        let most = self.policy.store_failures.saturating_mul(self.slots.len() as u32);
        if failure.class != FailureClass::Store || self.store_failures < most {
            return Ok(());
        }
        Err(DispatchError::StoreFails { failures: self.store_failures, last: failure.message.clone() })
    }

    /// What failed would stop others too, if it is not this machine alone; of systemic failures they know
    /// already.
    fn announce_failure(&mut self, worked: &Result<(), DispatchError>) {
        match worked {
            Ok(()) | Err(DispatchError::Systemic(_) | DispatchError::Stopped { .. }) => {}
            Err(error) => self.notify(Change::GivesUp { why: error.to_string() }),
        }
    }

    fn notify(&mut self, change: Change) {
        self.notified = Instant::now();
        let views =
            self.slots.iter().enumerate().map(|(worker, slot)| slot.view(self.queue.holdings(worker)));
        let progress = self.totals.progress(self.queue.in_flight(), views.collect());
        (self.observe)(Observation { change: &change, progress: &progress });
    }
}

/// What a child's end means for the shard it worked on.
fn class_of(running: &Running, cause: ExitCause) -> FailureClass {
    match cause {
        _ if running.is_hung => FailureClass::WorkerHung,
        ExitCause::OutOfMemory => FailureClass::WorkerMemory,
        ExitCause::FromOutside => FailureClass::WorkerKilled,
        // Also an end in order or for its surroundings' sake: with a shard in hand, it is the shard's bad
        // luck.
        ExitCause::Finished | ExitCause::Environment | ExitCause::OfItsOwn => FailureClass::WorkerCrashed,
    }
}
