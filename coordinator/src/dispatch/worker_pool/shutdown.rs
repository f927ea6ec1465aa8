//! The end of a run: shards that are not begun are returned at once, nearly finished shards are finished, and
//! every worker process ends.
//!
//! A scheduler that takes a machine away gives a notice of about half a minute. Other machines would have to
//! wait that long for a shard that was just begun, so only a shard that ends within the grace is finished
//! here.

use super::{Change, Command, FromWorker, Observation, Run, ShardSource, WorkerMessage, WorkerSlot};
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout_at},
};

/// Longest wait for the exit of a killed worker process.
const KILLED: Duration = Duration::from_secs(5);

impl<C: Fn(&str, usize) -> Command, F: ShardSource, O: FnMut(Observation<'_>)> Run<'_, C, F, O> {
    /// Ends all worker processes; `true` when no shard had to be returned. A second stop request ends the
    /// grace. Errors are only logged: a shard without a commit is executed again.
    pub(super) async fn shut_down(
        &mut self,
        messages: &mut mpsc::Receiver<FromWorker>,
        stop: &mut watch::Receiver<bool>,
    ) -> bool {
        self.source.refuse();
        self.end_losers();
        let grace = self.policy.grace;
        let on_device: Vec<Duration> = self.slots.iter_mut().map(WorkerSlot::time_on_device).collect();
        self.give_back(|worker, done, rows| ends_within(grace, on_device[worker], done, rows));
        self.slots.iter_mut().filter_map(WorkerSlot::running).for_each(|running| running.child.close());
        let (given_back, finishing) = (self.given_back, self.queue.held());
        if given_back + finishing > 0 {
            self.notify(Change::Leaving { given_back, finishing });
            self.finish(messages, stop, Instant::now() + grace).await;
            self.give_back(|_, _, _| false);
            self.slots.iter_mut().filter_map(WorkerSlot::running).for_each(|running| running.child.kill());
        }
        // A worker process without a shard exits when its input ends.
        self.await_exits(messages, Instant::now() + KILLED).await;
        self.slots.iter_mut().filter_map(WorkerSlot::running).for_each(|running| running.child.kill());
        self.await_exits(messages, Instant::now() + KILLED).await;
        self.given_back == 0
    }

    /// Kills worker processes whose only shards are committed by other attempts: waiting for them is useless.
    fn end_losers(&mut self) {
        for worker in self.queue.drop_losers() {
            if let Some(running) = self.slots[worker].running().filter(|_| self.queue.held_by(worker).0 == 0)
            {
                running.child.kill();
            }
        }
    }

    /// Returns every shard except those in flight for which `stays(worker, rows done, rows)` holds.
    fn give_back(&mut self, stays: impl FnMut(usize, u64, u64) -> bool) {
        let gone = self.queue.let_go(stays);
        gone.iter().for_each(|shard| self.source.give_back(shard, Duration::ZERO));
        self.given_back += gone.len();
    }

    /// Handles messages until no shard is held, `until` has passed, or a second stop request comes.
    async fn finish(
        &mut self,
        messages: &mut mpsc::Receiver<FromWorker>,
        stop: &mut watch::Receiver<bool>,
        until: Instant,
    ) {
        while self.queue.held() > 0 {
            tokio::select! {
                message = timeout_at(until, messages.recv()) => match message {
                    Ok(Some((worker, message))) => self.on_last_message(worker, message).await,
                    _ => return,
                },
                Ok(()) = stop.changed() => return,
            }
        }
    }

    async fn await_exits(&mut self, messages: &mut mpsc::Receiver<FromWorker>, until: Instant) {
        while self.slots.iter().any(WorkerSlot::is_running) {
            let Ok(Some((worker, message))) = timeout_at(until, messages.recv()).await else { return };
            self.on_last_message(worker, message).await;
        }
    }

    async fn on_last_message(&mut self, worker: usize, message: WorkerMessage) {
        match message {
            WorkerMessage::Exited(_) => {
                drop(self.slots[worker].end(self.policy.restart, false));
                // A worker process that ends without a report on its shard leaves the shard to other
                // machines.
                self.give_back(|of, _, _| of != worker);
            }
            message => {
                if let Err(error) = self.on_message(worker, message).await {
                    tracing::debug!(%error, "an error at the end of the run is ignored");
                }
                self.end_losers();
            }
        }
    }
}

/// Whether a shard with `done` finished rows ends within the grace at its average speed so far.
fn ends_within(grace: Duration, on_device: Duration, done: u64, rows: u64) -> bool {
    let left = rows.saturating_sub(done) as f64;
    // Without a finished row the speed is unknown.
    done > 0 && on_device.as_secs_f64() * left / done as f64 <= grace.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shard_that_will_end_in_time_is_waited_for() {
        let ends = |grace, on_device, done| {
            ends_within(Duration::from_secs(grace), Duration::from_secs(on_device), done, 100)
        };
        assert!(ends(10, 30, 75), "10 s to go");
        assert!(!ends(10, 30, 74), "a little more");
        assert!(ends(0, 30, 100), "its tables are being written");
        assert!(!ends(0, 30, 99));
        assert!(!ends(1000, 1, 0), "the speed is unknown");
    }
}
