//! The children of one machine, one per device, kept busy with the shards of a queue in memory and of a [`Feed`].
//!
//! One task owns all state and takes in one thing at a time: what a child said, the feed's next shard, the clock's tick,
//! or the wish to stop. Children that die are replaced after a back-off; see [`Policy`] for every bound.

mod leave;

use super::{
    Change, DispatchError, Observation, Outcome, Work,
    account::Account,
    attempts::Attempts,
    child::{Child, Death, Ended, Heard, Said},
    feed::{Fed, Feed},
    policy::Policy,
    queue::{Effect, Queue},
    slot::{Slot, Up, back_off},
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

/// The observer is told where things stand at least so often: who watches from elsewhere wants to hear of an idle worker.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Messages from all children that wait to be taken in. A child that talks faster than we listen is held up by its pipe.
const HEARD_BOUND: usize = 256;

/// How long a failure's record may take, once the run is told to stop.
const RECORD_WHEN_LEAVING: Duration = Duration::from_secs(2);

/// Where children are heard, and what tells the run to stop.
type Ends = (mpsc::Sender<Heard>, watch::Receiver<bool>);

/// Who works, and on what conditions.
pub struct Crew<C> {
    /// One child each.
    pub devices: Vec<String>,
    /// Gives the process for a device and a worker number. It must speak [`capfilt_schemas::pipe`].
    pub command: C,
    pub policy: Policy,
}

/// Works until the feed has ended and every shard is committed, quarantined or given back, or until `stop` becomes true;
/// when it is told so once more, nothing is finished and all is given back.
///
/// # Errors
/// When going on makes no sense; see [`DispatchError`]. No child outlives the call, whatever its result.
pub async fn run<F: Feed>(
    bucket: &Bucket,
    work: Work,
    crew: Crew<impl Fn(&str, usize) -> Command>,
    feed: F,
    observe: impl FnMut(Observation<'_>),
    mut stop: watch::Receiver<bool>,
) -> Result<Outcome, DispatchError> {
    let (heard_in, mut heard) = mpsc::channel(HEARD_BOUND);
    let mut run = Run::new(bucket, work, crew, feed, observe, (heard_in, stop.clone()));
    let worked = run.work(&mut heard, &mut stop).await;
    run.tell_why(&worked);
    // However it ends, children finish what they can soon: a commit made while leaving counts.
    let is_all_done = run.leave(&mut heard, &mut stop).await;
    let is_finished = is_all_done && run.is_finished();
    run.account.waste(run.queue.copies(), run.queue.wasted_rows());
    run.tell(Change::Ends);
    run.feed.close().await;
    worked?;
    let report = run.account.report;
    Ok(if is_finished { Outcome::Finished(report) } else { Outcome::Interrupted(report) })
}

struct Run<'a, C, F, O> {
    bucket: &'a Bucket,
    job: Option<JobDigest>,
    queue: Queue,
    feed: F,
    /// Whether the feed has said that nothing follows.
    is_fed: bool,
    slots: Vec<Slot>,
    command: C,
    policy: Policy,
    observe: O,
    heard_in: mpsc::Sender<Heard>,
    /// Shards in their back-off, with its end.
    retries: Vec<(Instant, ShardId)>,
    /// Attempts that failed for the store since the last commit.
    store_failures: u32,
    /// Shards that were given back when the run ended.
    given_back: usize,
    account: Account,
    attempts: Attempts,
    stop: watch::Receiver<bool>,
    /// When the observer was told something last.
    told: Instant,
}

impl<'a, C: Fn(&str, usize) -> Command, F: Feed, O: FnMut(Observation<'_>)> Run<'a, C, F, O> {
    fn new(bucket: &'a Bucket, work: Work, crew: Crew<C>, feed: F, observe: O, ends: Ends) -> Self {
        let (heard_in, stop) = ends;
        let Work { tasks, attempts, before, job } = work;
        let Crew { devices, command, policy } = crew;
        let rows = tasks.iter().map(|task| task.shard.rows).sum();
        let account = Account::open(before, tasks.len() as u64, rows);
        let slots: Vec<Slot> = devices.iter().enumerate().map(|(i, device)| Slot::new(device, i)).collect();
        let queue = Queue::new(tasks, attempts, slots.len());
        Self {
            bucket,
            job,
            queue,
            feed,
            is_fed: false,
            slots,
            command,
            policy,
            observe,
            heard_in,
            retries: Vec::new(),
            store_failures: 0,
            given_back: 0,
            account,
            attempts: Attempts::default(),
            stop,
            told: Instant::now(),
        }
    }

    fn is_finished(&self) -> bool {
        self.is_fed && self.queue.is_finished()
    }

    /// Whether another shard would find a place: one for every child that has none, and one ahead.
    fn wants_more(&self) -> bool {
        !self.is_fed && !self.queue.has_pending() && self.queue.held() < self.slots.len() * SHARDS_IN_CHILD
    }

    /// Hands out shards until all are decided or `stop` is true.
    async fn work(
        &mut self,
        heard: &mut mpsc::Receiver<Heard>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), DispatchError> {
        let mut tick = interval(TICK);
        while !self.is_finished() && !*stop.borrow_and_update() {
            self.start_due()?;
            self.hand_out();
            let wants_more = self.wants_more();
            tokio::select! {
                fed = self.feed.next(wants_more), if !self.is_fed => self.take_fed(fed?),
                said = heard.recv() => {
                    let (worker, said) = said.expect("this run holds a sender itself");
                    self.take_in(worker, said).await?;
                }
                _ = tick.tick() => self.look_around(),
                // A sender that is gone can ask for nothing any more.
                Ok(()) = stop.changed() => {}
            }
        }
        Ok(())
    }

    fn take_fed(&mut self, fed: Fed) {
        match fed {
            Fed::Task(task) => {
                self.account.add(task.shard.rows);
                self.queue.add(*task);
            }
            Fed::End => self.is_fed = true,
            Fed::Settled => {
                self.is_fed = true;
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
                let child = Child::spawn((self.command)(&device, worker), worker, self.heard_in.clone())
                    .map_err(|source| DispatchError::Spawn { device, source })?;
                self.slots[worker].start(child);
                self.tell(Change::WorkerStarted { worker });
            }
        }
        Ok(())
    }

    /// First a shard for everyone who has none, then second ones. Who has none then, when nothing follows, helps with what
    /// others have.
    fn hand_out(&mut self) {
        for held in 0..SHARDS_IN_CHILD {
            self.offer(held, Queue::next);
        }
        if self.is_fed {
            self.offer(0, Queue::next_copy);
        }
    }

    /// Offers a shard to everyone who holds so many.
    fn offer(&mut self, held: usize, next: fn(&mut Queue, usize, AttemptId) -> Option<Assignment>) {
        for (worker, slot) in self.slots.iter_mut().enumerate() {
            let (name, device) = (slot.worker.clone(), slot.device.clone());
            let Some(up) = slot.up().filter(|up| up.is_ready && !up.is_hung) else { continue };
            if self.queue.held_by(worker).0 != held {
                continue;
            }
            if let Some(assignment) = next(&mut self.queue, worker, AttemptId::from_random(rand::random())) {
                up.last_heard = Instant::now();
                self.attempts.begin(&assignment, worker, &name, &device);
                up.child.assign(&assignment);
            }
        }
    }

    fn look_around(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.told) >= TELL_EVERY {
            self.tell(Change::RowsDone);
        }
        let (due, later) = std::mem::take(&mut self.retries).into_iter().partition(|(until, _)| *until <= now);
        self.retries = later;
        due.iter().for_each(|(_, shard): &(Instant, ShardId)| self.queue.release(shard));
        for (worker, slot) in self.slots.iter_mut().enumerate() {
            let has_work = self.queue.held_by(worker).0 > 0;
            if let Some(up) = slot.up() {
                up.kill_when_silent(now, self.policy.silence, has_work);
            }
        }
    }

    async fn take_in(&mut self, worker: usize, said: Said) -> Result<(), DispatchError> {
        if let Some(up) = self.slots[worker].up() {
            up.last_heard = Instant::now();
        }
        match said {
            Said::Event(event) => self.take_event(worker, event).await,
            Said::Line(line) => {
                self.tell(Change::WorkerSaid { worker, line });
                Ok(())
            }
            Said::Ended(ended) => self.take_end(worker, ended).await,
        }
    }

    async fn take_event(&mut self, worker: usize, event: Event) -> Result<(), DispatchError> {
        let effect = self.queue.on(worker, &event);
        self.account.waste(self.queue.copies(), self.queue.wasted_rows());
        self.attempts.hear(&event);
        match event {
            Event::Ready { device, worker: name } => {
                self.slots[worker].failed_starts = 0;
                if !name.is_empty() {
                    self.slots[worker].worker = name;
                }
                if let Some(up) = self.slots[worker].up() {
                    up.is_ready = true;
                }
                self.tell(Change::WorkerReady { worker, device });
            }
            Event::Handling { .. } => {}
            Event::Started { .. } => {
                if let Some(up) = self.slots[worker].up() {
                    up.on_device_since = Instant::now();
                }
                self.tell(Change::RowsDone);
            }
            Event::Progress { .. } => self.tell(Change::RowsDone),
            Event::Committed { shard, rows, tally, superseded, cost, .. }
                if matches!(effect, Effect::Committed | Effect::Won) =>
            {
                self.store_failures = 0;
                self.slots[worker].deaths_in_row = 0;
                self.slots[worker].batch = Some(cost.batch);
                match effect {
                    Effect::Won => self.account.win(rows, &tally),
                    _ if superseded => self.account.lose(rows),
                    _ => self.account.commit(rows, &tally),
                }
                self.feed.done(&shard);
                self.tell(Change::Committed { shard, rows, tally, superseded, cost });
            }
            // Another attempt was first, or the shard was given back before: the bucket knows what counts.
            Event::Committed { .. } => {}
            Event::Failed { failure } => self.settle(failure, effect).await?,
        }
        Ok(())
    }

    async fn take_end(&mut self, worker: usize, ended: Ended) -> Result<(), DispatchError> {
        let Some(up) = self.slots[worker].end(self.policy.restart, ended.death != Death::FromOutside) else {
            return Ok(());
        };
        let how = up.explain(&ended, self.policy.silence);
        self.account.report.restarts += 1;
        let class = class_of(&up, ended.death);
        for blamed in self.queue.lost(worker, class) {
            let worker = self.slots[worker].worker.clone();
            let message = format!("its worker ended: {how}");
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
        self.attempts.end_all_of(worker);
        self.tell(Change::WorkerEnded { worker, how: how.clone() });
        self.may_go_on(worker, &up, ended, how)
    }

    /// Whether replacing a dead child makes sense.
    fn may_go_on(&self, worker: usize, up: &Up, ended: Ended, how: String) -> Result<(), DispatchError> {
        let (slot, last_words) = (&self.slots[worker], ended.last_words);
        let says_so = !up.is_ready && ended.death == Death::Environment;
        if says_so || (slot.failed_starts >= self.policy.failed_starts && !up.is_ready) {
            return Err(DispatchError::WorkerCannotStart { device: slot.device.clone(), how, last_words });
        }
        let kills = self.queue.kills_since_commit();
        if kills >= self.policy.kills {
            return Err(DispatchError::WorkersKilled { kills, how, last_words });
        }
        Ok(())
    }

    /// Writes a failure's record. A store that is away is waited for, but not by a run that is told to stop: the shard goes
    /// back, and is tried again.
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
        self.attempts
            .end(&failure.attempt)
            .in_scope(|| tracing::warn!(class = %failure.class, "{}: {}; {next}", failure.class, failure.message));
        if effect == Effect::Lost {
            return Ok(());
        }
        let name = names::failure(&failure.shard, &failure.attempt);
        let bytes = serde_json::to_vec_pretty(&failure).expect("a failure record is plain data");
        let recorded = self.record(&name, Bytes::from(bytes)).await;
        if effect == Effect::Stop {
            // Where nothing can be written, not even this, its reason is what the failure says.
            self.tell(Change::Stopping { failure: failure.clone() });
            return Err(DispatchError::Systemic(Box::new(failure)));
        }
        recorded?;
        self.count_store_failures(&failure)?;
        match effect {
            Effect::Noted | Effect::Committed | Effect::Won | Effect::Lost => {
                self.tell(Change::GivenBack { failure });
            }
            Effect::Retry { failures } => {
                let after = back_off(self.policy.retry, failures);
                if self.feed.keeps_failed() {
                    self.retries.push((Instant::now() + after, failure.shard.clone()));
                } else {
                    self.queue.forget(&failure.shard);
                    self.feed.give_back(&failure.shard, after);
                }
                self.account.report.retries += 1;
                self.tell(Change::Retrying { failure });
            }
            Effect::Quarantined => {
                self.feed.done(&failure.shard);
                self.account.report.quarantined.push(failure.clone());
                self.tell(Change::Quarantined { failure });
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

    /// What failed would stop others too, if it is not this machine alone; of systemic failures they know already.
    fn tell_why(&mut self, worked: &Result<(), DispatchError>) {
        match worked {
            Ok(()) | Err(DispatchError::Systemic(_) | DispatchError::Stopped { .. }) => {}
            Err(error) => self.tell(Change::GivesUp { why: error.to_string() }),
        }
    }

    fn tell(&mut self, change: Change) {
        self.told = Instant::now();
        let views = self.slots.iter().enumerate().map(|(worker, slot)| slot.view(self.queue.holdings(worker)));
        let progress = self.account.progress(self.queue.in_flight(), views.collect());
        (self.observe)(Observation { change: &change, progress: &progress });
    }
}

/// What a child's end means for the shard it worked on.
fn class_of(up: &Up, death: Death) -> FailureClass {
    match death {
        _ if up.is_hung => FailureClass::WorkerHung,
        Death::OutOfMemory => FailureClass::WorkerMemory,
        Death::FromOutside => FailureClass::WorkerKilled,
        // Also an end in order or for its surroundings' sake: with a shard in hand, it is the shard's bad luck.
        Death::Finished | Death::Environment | Death::OfItsOwn => FailureClass::WorkerCrashed,
    }
}
