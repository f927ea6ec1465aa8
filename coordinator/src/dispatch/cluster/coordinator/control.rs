//! Controls of the job, as its coordinator obeys them. The worker pools read the controls themselves: a pause
//! reaches them without a coordinator too.

use super::{Change, DispatchError, Observation, Run};
use crate::dispatch::READ_WITHIN;
use tokio::time::Instant;

/// End of a coordinator's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    /// No shard is open.
    Settled,
    /// The job is drained.
    Drained,
}

impl<O: FnMut(Observation<'_>)> Run<'_, O> {
    /// Checks queue, bucket and controls; returns the end of the work when it is reached.
    pub(super) async fn check(&mut self) -> Result<Option<Finish>, DispatchError> {
        if self.look().await? {
            return Ok(Some(Finish::Settled));
        }
        Ok(self.is_drained().then_some(Finish::Drained))
    }

    /// Shows a control that came into force. `true` when the job is drained: every worker pool had the time
    /// to read the control, and none of the present pools holds a shard.
    fn is_drained(&mut self) -> bool {
        if let Some(control) = self.job.orders.news() {
            (self.observe)(self.view.seen(&Change::Controlled(control)));
        }
        if !self.job.orders.drain() {
            self.drained = None;
            return false;
        }
        let since = *self.drained.get_or_insert_with(Instant::now);
        since.elapsed() >= READ_WITHIN && self.view.workers.reports().all(|report| report.shards_held == 0)
    }
}
