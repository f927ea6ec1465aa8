//! Messages that a coordinator receives from worker pools and other coordinators, and those that it sends.

use super::{
    Change, ConnectionError, CoordinatedJob, CoordinatorReport, DispatchError, End, JobQueue, LOOK_EVERY,
    News, Observation, Run, Subscriber, diagnosis, span_of,
};
use capfilt_schemas::queue_protocol::WorkerReport;
use futures::StreamExt as _;
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, timeout_at};

/// Longest wait for the worker pools' last counts of wasted rows at the end of the job.
const LAST_REPORTS: Duration = Duration::from_secs(3);

/// Least interval between two diagnoses: each reads all weights.
const LOOK_INTO_EVERY: Duration = Duration::from_secs(60);

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    pub(super) fn take_in(&mut self, payload: &[u8]) -> Result<(), DispatchError> {
        let change = match serde_json::from_slice(payload) {
            Ok(News::Alive(report)) => self.view.alive(report),
            Ok(News::Committed { shard, rows, tally, superseded, cost }) => {
                // The rows of a superseded attempt count as wasted rows of its pool. The shard itself may be
                // new here.
                self.view.commit(&self.job, &self.now, &shard, rows);
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
                span_of(&failure).in_scope(
                    || tracing::warn!(class = %failure.class, "{}: {}", failure.class, failure.message),
                );
                self.view.report.retries += 1;
                self.view.progress.retries += 1;
                Some(Change::Retrying { failure })
            }
            Err(error) => {
                tracing::debug!(%error, "a message of another version of capfilt is ignored");
                None
            }
        };
        if let Some(change) = change {
            (self.observe)(self.view.seen(&change));
        }
        Ok(())
    }

    /// Diagnoses why a worker pool could not continue: every other pool may meet the same fault.
    pub(super) async fn look_into_leaving(&mut self) -> Result<(), DispatchError> {
        if self.looked_into.is_some_and(|at| at.elapsed() < LOOK_INTO_EVERY) {
            return Ok(());
        }
        let Some((worker, why)) = self.left.take() else { return Ok(()) };
        let CoordinatedJob { bucket, record, load_models, .. } = self.job;
        let found = diagnosis::look(bucket, record, load_models).await;
        self.looked_into = Some(Instant::now());
        found.map_err(|found| DispatchError::Broken { found: Box::new(found), worker, why })
    }

    /// Announces this coordinator to other coordinators and to worker pools.
    pub(super) async fn tell_of_us(&self) {
        let seconds_up = self.started.elapsed().as_secs_f64();
        let report = CoordinatorReport { coordinator: self.job.name.clone(), seconds_up };
        let payload = serde_json::to_vec(&News::Coordinating(report)).expect("news are plain data");
        let (client, names) = (&self.job.queue.client, &self.job.queue.names);
        for subject in [names.news(), names.coordinator()] {
            let _ = client.publish(subject, payload.clone().into()).await;
        }
    }

    pub(super) fn hear_of(&mut self, other: CoordinatorReport) -> Option<Change> {
        let is_new = other.coordinator != self.job.name && self.peers.insert(other.coordinator.clone());
        is_new.then_some(Change::Coordinator(other))
    }

    /// Stops on a systemic failure in the bucket: the message about it may have been lost.
    pub(super) fn stop_if_systemic(&self) -> Result<(), DispatchError> {
        let mut failures = self.now.failures.values().flatten();
        let new = failures
            .find(|failure| failure.class.is_systemic() && !self.known_failures.contains(&failure.attempt.0));
        new.map_or(Ok(()), |failure| Err(DispatchError::Systemic(Box::new(failure.clone()))))
    }
}

impl JobQueue {
    /// Subscribes to the messages of worker pools from now on.
    pub(in crate::dispatch::cluster) async fn listen(&self) -> Result<Subscriber, ConnectionError> {
        let subscribed = self.client.subscribe(self.names.news()).await;
        let what = "cannot subscribe to the worker pools' messages".to_owned();
        subscribed.map_err(|error| ConnectionError::Settings { what, why: error.to_string() })
    }

    /// Announces that every shard has a result, and waits for the last reports of `workers`, the present
    /// pools. Returns the wasted rows beyond those in `workers`. The wait for silent pools is short.
    pub async fn end(&self, workers: &[WorkerReport]) -> u64 {
        let Ok(mut news) = self.listen().await else { return 0 };
        self.say_end(&End::Done).await;
        let mut known: HashMap<&str, u64> =
            workers.iter().map(|report| (report.worker.as_str(), report.wasted_rows)).collect();
        let (mut wasted_rows, until) = (0, Instant::now() + LAST_REPORTS);
        while !known.is_empty()
            && let Ok(Some(message)) = timeout_at(until, news.next()).await
        {
            if let Ok(News::Alive(report)) = serde_json::from_slice(&message.payload)
                && report.is_last
                && let Some(before) = known.remove(report.worker.as_str())
            {
                wasted_rows += report.wasted_rows.saturating_sub(before);
            }
        }
        wasted_rows
    }

    /// Announces that the job stopped, and removes the queue, if every worker pool would meet the error.
    ///
    /// # Errors
    /// A queue that cannot be removed.
    pub async fn end_after(&self, error: &DispatchError) -> Result<(), ConnectionError> {
        if let DispatchError::Systemic(_) | DispatchError::Broken { .. } = error {
            self.say_end(&End::Stopped { why: error.to_string() }).await;
            self.remove().await?;
        }
        Ok(())
    }

    /// Announces the end to all worker pools. A pool that misses the message reads the end from the bucket.
    pub async fn say_end(&self, end: &End) {
        let payload = serde_json::to_vec(end).expect("an end is plain data");
        let _ = self.client.publish(self.names.end(), payload.into()).await;
        let _ = tokio::time::timeout(LOOK_EVERY, self.client.flush()).await;
    }
}
