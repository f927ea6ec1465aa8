//! Handling of a failed attempt and of the end of a worker process: a failure record, then a retry, a
//! quarantine or the end of the run.

use super::{Change, DispatchError, Effect, Observation, Run, ShardSource};
use crate::dispatch::{
    worker_process::{Exit, ExitCause},
    worker_slot::{Running, back_off},
};
use capfilt_schemas::{
    failure::{self, Failure, FailureClass},
    object_keys,
};
use capfilt_store::StoreError;
use std::time::Duration;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

/// Longest time for writing a failure record after a stop request.
const RECORD_WHEN_LEAVING: Duration = Duration::from_secs(2);

impl<C: Fn(&str, usize) -> Command, F: ShardSource, O: FnMut(Observation<'_>)> Run<'_, C, F, O> {
    pub(super) async fn on_exit(&mut self, worker: usize, exit: Exit) -> Result<(), DispatchError> {
        let Some(running) = self.slots[worker].end(self.policy.restart, exit.cause != ExitCause::FromOutside)
        else {
            return Ok(());
        };
        let how = running.explain(&exit, self.policy.silence);
        self.totals.report.restarts += 1;
        let class = class_of(&running, exit.cause);
        for blamed in self.queue.lost(worker, class) {
            let worker = self.slots[worker].worker.clone();
            let message = format!("its worker process ended: {how}");
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

    /// Whether replacing a worker process that ended can help.
    fn may_go_on(
        &self,
        worker: usize,
        running: &Running,
        exit: Exit,
        how: String,
    ) -> Result<(), DispatchError> {
        let (slot, last_words) = (&self.slots[worker], exit.last_words);
        let is_broken = !running.is_ready && exit.cause == ExitCause::Environment;
        if is_broken || (slot.failed_starts >= self.policy.failed_starts && !running.is_ready) {
            return Err(DispatchError::WorkerCannotStart { device: slot.device.clone(), how, last_words });
        }
        let kills = self.queue.kills_since_commit();
        if kills >= self.policy.kills {
            return Err(DispatchError::WorkersKilled { kills, how, last_words });
        }
        Ok(())
    }

    /// Writes a failure record. It waits for an unreachable store, except after a stop request: then the
    /// shard is returned and executed again elsewhere.
    async fn record(&mut self, failure: &Failure) -> Result<(), StoreError> {
        let name = object_keys::failure(&failure.shard, &failure.attempt);
        let stopped = async {
            if self.stop.wait_for(|stop| *stop).await.is_err() {
                // The sender is gone: no stop request can come.
                std::future::pending::<()>().await;
            }
            sleep(RECORD_WHEN_LEAVING).await;
        };
        tokio::select! {
            biased;
            created = self.bucket.create_record(&name, failure) => created.map(drop),
            () = stopped => {
                tracing::warn!("the run stops before the failure record is written");
                Ok(())
            }
        }
    }

    /// Records a failed attempt and carries out the queue's effect.
    pub(super) async fn settle(&mut self, failure: Failure, effect: Effect) -> Result<(), DispatchError> {
        let next = match effect {
            Effect::Retry { .. } => "it will be retried",
            Effect::Quarantined => "the shard is quarantined",
            Effect::Stop => "the job stops, because every shard would fail in the same way",
            Effect::Noted | Effect::Committed | Effect::Won | Effect::Lost => {
                "another attempt executes the shard"
            }
        };
        self.spans.end(&failure.attempt).in_scope(
            || tracing::warn!(class = %failure.class, "{}: {}; {next}", failure.class, failure.message),
        );
        if effect == Effect::Lost {
            return Ok(());
        }
        let recorded = self.record(&failure).await;
        if effect == Effect::Stop {
            // If the store refuses every write, the record too, the error below reports the failure.
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
            Effect::Stop => unreachable!("the branch above returned"),
        }
        Ok(())
    }

    /// Stops after repeated failures at the store: the results of further shards could not be stored.
    fn count_store_failures(&mut self, failure: &Failure) -> Result<(), DispatchError> {
        self.store_failures += u32::from(failure.class == FailureClass::Store);
        let most = self.policy.store_failures.saturating_mul(self.slots.len() as u32);
        if failure.class != FailureClass::Store || self.store_failures < most {
            return Ok(());
        }
        Err(DispatchError::StoreFails { failures: self.store_failures, last: failure.message.clone() })
    }
}

/// Failure class for the shard of a worker process that ended.
fn class_of(running: &Running, cause: ExitCause) -> FailureClass {
    match cause {
        _ if running.is_hung => FailureClass::WorkerHung,
        ExitCause::OutOfMemory => FailureClass::WorkerMemory,
        ExitCause::FromOutside => FailureClass::WorkerKilled,
        // A regular end and a broken environment count as a crash too if the process held a shard.
        ExitCause::Finished | ExitCause::Environment | ExitCause::OfItsOwn => FailureClass::WorkerCrashed,
    }
}
