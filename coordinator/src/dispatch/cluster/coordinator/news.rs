//! What a coordinator hears from the workers and from its like, and what it tells them.

use super::{
    Change, ConnectionError, CoordinatedJob, CoordinatorReport, DispatchError, End, JobQueue, LOOK_EVERY,
    News, Observation, Run, Subscriber, diagnosis, span_of,
};
use capfilt_schemas::cluster::WorkerReport;
use futures::StreamExt as _;
use std::{collections::HashMap, time::Duration};
use tokio::time::{Instant, timeout_at};

/// How long workers may take to say what they did for nothing, once the job is over.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// How often leaving workers are looked into: it reads all weights.
const LOOK_INTO_EVERY: Duration = Duration::from_secs(60);

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    pub(super) fn take_in(&mut self, payload: &[u8]) -> Result<(), DispatchError> {
        let change = match serde_json::from_slice(payload) {
            Ok(News::Alive(report)) => self.view.alive(report),
            Ok(News::Committed { shard, rows, tally, superseded, cost }) => {
                // A superseded attempt's rows are among its worker's wasted ones; its shard may be news
                // nevertheless.
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

    /// So that other coordinators of this job know of this one.
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

    /// News can be lost; the failures in the bucket cannot.
    pub(super) fn stop_if_systemic(&self) -> Result<(), DispatchError> {
        let mut failures = self.now.failures.values().flatten();
        let new = failures
            .find(|failure| failure.class.is_systemic() && !self.known_failures.contains(&failure.attempt.0));
        new.map_or(Ok(()), |failure| Err(DispatchError::Systemic(Box::new(failure.clone()))))
    }
}

impl JobQueue {
    /// What the workers say from now on.
    pub(in crate::dispatch::cluster) async fn listen(&self) -> Result<Subscriber, ConnectionError> {
        let subscribed = self.client.subscribe(self.names.news()).await;
        let what = "cannot listen to the workers".to_owned();
        subscribed.map_err(|error| ConnectionError::Settings { what, why: error.to_string() })
    }

    /// Tells all workers that every shard has its result, and hears them out: rows they did for nothing
    /// beyond those in the reports of `workers`, the ones that are there. A worker that says nothing more is
    /// not waited for long.
    pub async fn end(&self, workers: &[WorkerReport]) -> u64 {
        let Ok(mut news) = self.listen().await else { return 0 };
        self.say_end(&End::Done).await;
        let mut known: HashMap<&str, u64> =
            workers.iter().map(|report| (report.worker.as_str(), report.wasted_rows)).collect();
        let (mut wasted_rows, until) = (0, Instant::now() + LAST_WORDS);
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

    /// Tells all workers that it is over. Those who do not hear it find out from the bucket.
    pub async fn say_end(&self, end: &End) {
        let payload = serde_json::to_vec(end).expect("an end is plain data");
        let _ = self.client.publish(self.names.end(), payload.into()).await;
        let _ = tokio::time::timeout(LOOK_EVERY, self.client.flush()).await;
    }
}
