//! What keeps a job from getting on: a server that does not answer, or no worker.

use super::{Change, Depth, DispatchError, LOOK_EVERY, Observation, Run, Trouble, contact};
use std::time::Duration;
use tokio::time::Instant;

/// How often the bucket is listed while the server does not answer.
const LOOK_WITHOUT_SERVER_EVERY: Duration = Duration::from_secs(10);

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    /// How full the queue is, if the server answers: the inner `None` says that the queue is gone.
    pub(super) async fn depth(&mut self) -> Option<Option<Depth>> {
        let queue = &self.job.queue;
        let depth = match contact(&queue.client) {
            Ok(()) => queue.depth().await.map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        self.contact.take_in(depth.as_ref().map(drop).map_err(String::clone));
        depth.ok()
    }

    /// A server that does not answer is waited for: workers finish their shards meanwhile, and with these it
    /// may all be done.
    pub(super) async fn look_without_server(&mut self) -> Result<bool, DispatchError> {
        self.tell_of_trouble();
        let is_due = self.stood.elapsed() >= LOOK_WITHOUT_SERVER_EVERY.max(self.listing_takes());
        if is_due && let Err(error) = self.look_at_bucket().await {
            tracing::warn!(%error, "cannot see where the job stands; looking again");
            return Ok(false);
        }
        Ok(is_due && self.is_finished())
    }

    /// Says where the job stands, and what keeps it from getting on.
    pub(super) fn tell_of_trouble(&mut self) {
        if self.view.workers.reports().next().is_some() || self.contact.is_lost() {
            self.worker_heard = Instant::now();
        }
        let lasts = self.worker_heard.elapsed();
        let no_worker = (lasts >= LOOK_EVERY).then_some(Trouble::NoWorker { lasts });
        self.view.progress.trouble = self.contact.trouble(&self.job.queue.url).or(no_worker);
        (self.observe)(self.view.seen(&Change::RowsDone));
    }
}
