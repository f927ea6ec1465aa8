//! The worker processes of one machine, one per device, supplied with shards of an in-memory queue and of a
//! [`ShardSource`].
//!
//! One task owns all state and handles one event at a time: a message of a worker process, the next shard of
//! the source, a tick of the clock, or a stop request. A process that ends is replaced after a back-off;
//! [`RetryPolicy`] has every bound.

mod failures;
mod shutdown;

use super::{
    Change, DispatchError, Observation, Orders, Outcome, Work,
    attempt_spans::AttemptSpans,
    queue::{Effect, Queue},
    retry_policy::RetryPolicy,
    shard_source::{ShardSource, Sourced},
    totals::Totals,
    worker_process::{FromWorker, WorkerMessage, WorkerProcess},
    worker_slot::WorkerSlot,
};
use capfilt_schemas::{
    job::JobDigest,
    object_keys::AttemptId,
    plan::ShardId,
    worker_protocol::{Assignment, Event, SHARDS_IN_CHILD},
};
use capfilt_store::Location;
use std::time::Duration;
use tokio::{
    process::Command,
    sync::{mpsc, watch},
    time::{Instant, interval},
};

/// Interval of the checks for due back-offs and silent worker processes.
const TICK: Duration = Duration::from_millis(50);

/// Longest time between two notifications of the observer: other machines must learn of an idle worker
/// process too.
const NOTIFY_EVERY: Duration = Duration::from_secs(1);

/// Bound of the unread messages of all worker processes. A process that writes faster than this task reads
/// blocks on its pipe.
const MESSAGES_BOUND: usize = 256;

/// Sender for the messages of the worker processes, and receiver of the stop request.
type Channels = (mpsc::Sender<FromWorker>, watch::Receiver<bool>);

/// Devices of a pool, the command of its worker processes, and the bounds of retries.
pub struct WorkerPool<C> {
    /// One worker process runs per device.
    pub devices: Vec<String>,
    /// Returns the command for a device and a worker number. The process must speak
    /// [`capfilt_schemas::worker_protocol`].
    pub command: C,
    /// Bounds of waits and retries.
    pub policy: RetryPolicy,
}

/// Works until the source has ended and every shard is committed, quarantined or returned, until the job is
/// drained, or until `stop` becomes true. A second stop request ends the grace: all shards are returned at
/// once.
///
/// # Errors
/// An environment in which no shard can succeed; see [`DispatchError`]. No worker process outlives the call.
pub async fn run<F: ShardSource>(
    bucket: &Location,
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
    // The worker processes finish nearly finished shards also after an error: such a commit is valid.
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
    bucket: &'a Location,
    job: Option<JobDigest>,
    orders: Orders,
    queue: Queue,
    source: F,
    /// Whether the source has no further shard.
    source_ended: bool,
    slots: Vec<WorkerSlot>,
    command: C,
    policy: RetryPolicy,
    observe: O,
    messages_in: mpsc::Sender<FromWorker>,
    /// Shards in back-off, with the end of the back-off.
    retries: Vec<(Instant, ShardId)>,
    /// Attempts that failed at the store since the last commit.
    store_failures: u32,
    /// Number of shards that were returned at the end of the run.
    given_back: usize,
    totals: Totals,
    spans: AttemptSpans,
    stop: watch::Receiver<bool>,
    /// Time of the last notification.
    notified: Instant,
}

impl<'a, C: Fn(&str, usize) -> Command, F: ShardSource, O: FnMut(Observation<'_>)> Run<'a, C, F, O> {
    fn new(
        bucket: &'a Location,
        work: Work,
        pool: WorkerPool<C>,
        source: F,
        observe: O,
        ends: Channels,
    ) -> Self {
        let (messages_in, stop) = ends;
        let Work { tasks, attempts, before, job, orders } = work;
        let WorkerPool { devices, command, policy } = pool;
        let totals = Totals::open(before, tasks.iter().map(|task| &task.shard));
        let slots: Vec<WorkerSlot> =
            devices.iter().enumerate().map(|(i, device)| WorkerSlot::new(device, i)).collect();
        let queue = Queue::new(tasks, attempts, slots.len());
        Self {
            bucket,
            job,
            orders,
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

    /// Whether the queue has room for another shard: one per idle worker process, and one ahead.
    fn wants_more(&self) -> bool {
        !self.source_ended
            && self.orders.allow_work()
            && !self.queue.has_pending()
            && self.queue.held() < self.slots.len() * SHARDS_IN_CHILD
    }

    /// Hands out shards until all are decided, the job is drained, or `stop` is true.
    async fn work(
        &mut self,
        messages: &mut mpsc::Receiver<FromWorker>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), DispatchError> {
        let mut tick = interval(TICK);
        while !self.is_finished() && !*stop.borrow_and_update() {
            if let Some(control) = self.orders.news() {
                self.notify(Change::Controlled(control));
            }
            if self.orders.allow_work() {
                self.start_due()?;
                self.hand_out();
            } else if self.orders.drain() && self.queue.held() == 0 {
                break;
            }
            let wants_more = self.wants_more();
            tokio::select! {
                fed = self.source.next(wants_more), if !self.source_ended => self.on_sourced(fed?),
                message = messages.recv() => {
                    let (worker, message) = message.expect("this run holds a sender itself");
                    self.on_message(worker, message).await?;
                }
                _ = tick.tick() => self.on_tick(),
                // An error means that the sender is gone: no stop request can come.
                Ok(()) = stop.changed() => {}
            }
        }
        Ok(())
    }

    fn on_sourced(&mut self, fed: Sourced) {
        match fed {
            Sourced::Task(task) => {
                self.totals.add(&task.shard);
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
            // A worker process that would get no shard need not load its models.
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

    /// Hands a first shard to every idle worker process, then second ones. When the source has ended,
    /// processes that are still idle get speculative copies.
    fn hand_out(&mut self) {
        for held in 0..SHARDS_IN_CHILD {
            self.offer(held, Queue::next);
        }
        if self.source_ended {
            self.offer(0, Queue::next_copy);
        }
    }

    /// Offers a shard to every worker process that holds `held` shards.
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
                self.totals.learn(&shard, rows);
                match effect {
                    Effect::Won => self.totals.win(rows, &tally),
                    _ if superseded => self.totals.lose(rows),
                    _ => self.totals.commit(rows, &tally),
                }
                self.source.done(&shard);
                self.notify(Change::Committed { shard, rows, tally, superseded, cost });
            }
            // Another attempt was first, or the shard was returned before: the commit in the bucket decides.
            Event::Committed { .. } => {}
            Event::Failed { failure } => self.settle(failure, effect).await?,
        }
        Ok(())
    }

    /// Announces an error that may stop other machines too. They know of systemic failures from the records.
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
