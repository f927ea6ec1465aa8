//! Obstacles of a job: a server that does not answer, or no worker pool.

use super::{Change, Depth, DispatchError, Observation, Run, Trouble, contact};
use std::time::Duration;
use tokio::time::Instant;

/// Interval between two listings of the bucket while the server does not answer.
const LOOK_WITHOUT_SERVER_EVERY: Duration = Duration::from_secs(10);

/// Time without a worker pool that is reported. Every pool reports each second, also after a lost server
/// answers again.
const NO_WORKER_AFTER: Duration = Duration::from_secs(3);

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    /// Depth of the queue if the server answers; the inner `None` means that the queue does not exist.
    pub(super) async fn depth(&mut self) -> Option<Option<Depth>> {
        let queue = &self.job.queue;
        let depth = match contact(&queue.client) {
            Ok(()) => queue.depth().await.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        self.contact.take_in(depth.as_ref().map(drop).map_err(String::clone));
        depth.ok()
    }

    /// Waits for a server that does not answer. Worker pools finish their shards meanwhile, which may
    /// complete the job.
    pub(super) async fn look_without_server(&mut self) -> Result<bool, DispatchError> {
        self.tell_of_trouble();
        let is_due = self.stood.elapsed() >= LOOK_WITHOUT_SERVER_EVERY.max(self.listing_takes());
        if is_due && let Err(error) = self.look_at_bucket().await {
            tracing::warn!(%error, "cannot read the job state; it will be read again");
            return Ok(false);
        }
        Ok(is_due && self.is_finished())
    }

    /// Notifies the observer of the job's progress and of its obstacle.
    pub(super) fn tell_of_trouble(&mut self) {
        if self.view.workers.reports().next().is_some() || self.contact.is_lost() {
            self.worker_heard = Instant::now();
        }
        let lasts = self.worker_heard.elapsed();
        let no_worker = (lasts >= NO_WORKER_AFTER).then_some(Trouble::NoWorker { lasts });
        self.view.progress.trouble = self.contact.trouble(&self.job.queue.url).or(no_worker);
        (self.observe)(self.view.seen(&Change::RowsDone));
    }
}
