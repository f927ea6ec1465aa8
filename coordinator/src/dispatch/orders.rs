//! The control in force, for the loops that hand out shards.

use crate::{control::ControlReader, job::digest};
use capfilt_schemas::control::{Action, Control};
use capfilt_store::{Location, StoreError};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

/// Interval between two listings of the controls in a local folder.
const POLL_LOCAL: Duration = Duration::from_secs(1);

/// Interval between two listings of the controls in any other store: a few requests per minute.
const POLL_REMOTE: Duration = Duration::from_secs(4);

/// Longest time, on a store that answers, until every process of a job has read a new control.
pub const READ_WITHIN: Duration = Duration::from_secs(6);

/// The control in force. The default is a job without controls.
#[derive(Debug, Clone)]
pub struct Orders {
    newest: watch::Receiver<Option<Control>>,
    /// Number of the control that [`Orders::news`] returned last.
    announced: Option<u32>,
}

impl Default for Orders {
    fn default() -> Self {
        Self { newest: watch::channel(None).1, announced: None }
    }
}

impl Orders {
    /// Reads the controls of a job, and follows them until the last clone is dropped.
    ///
    /// # Errors
    /// A failing store at the first reading. Later, a store that fails leaves the last control in force.
    pub async fn follow(bucket: &Location) -> Result<Self, StoreError> {
        let mut reader = ControlReader::new(bucket, digest(bucket).await?);
        let (send, newest) = watch::channel(reader.read().await?);
        let period = if bucket.local_path().is_some() { POLL_LOCAL } else { POLL_REMOTE };
        tokio::spawn(keep_reading(reader, send, period));
        Ok(Self { newest, announced: None })
    }

    /// Whether shards are handed out.
    pub fn allow_work(&self) -> bool {
        !matches!(self.action(), Some(Action::Pause | Action::Drain))
    }

    /// Whether processes end when they hold no shard.
    pub fn drain(&self) -> bool {
        self.action() == Some(Action::Drain)
    }

    fn action(&self) -> Option<Action> {
        self.newest.borrow().as_ref().map(|control| control.action)
    }

    /// A control that came into force since the last call. The first call returns no resumption.
    pub fn news(&mut self) -> Option<Control> {
        let newest = self.newest.borrow().clone()?;
        let is_first = self.announced.is_none();
        let is_new = self.announced.replace(newest.n) != Some(newest.n);
        (is_new && !(is_first && newest.action == Action::Resume)).then_some(newest)
    }

    /// Waits until the job is not drained.
    pub async fn until_resumed(&mut self) {
        let is_drain = |control: &Option<Control>| {
            control.as_ref().is_some_and(|control| control.action == Action::Drain)
        };
        // An error means that the store is not read any more; then the job is as it was read last.
        let _ = self.newest.wait_for(|control| !is_drain(control)).await;
    }
}

async fn keep_reading(mut reader: ControlReader, send: watch::Sender<Option<Control>>, period: Duration) {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await; // at once; the caller has just read
    loop {
        tokio::select! {
            () = send.closed() => return,
            _ = tick.tick() => {}
        }
        let read = tokio::select! {
            () = send.closed() => return,
            read = reader.read() => read,
        };
        match read {
            Ok(newest) => drop(send.send_if_modified(|known| {
                let is_new = *known != newest;
                *known = newest;
                is_new
            })),
            Err(error) => tracing::warn!(%error, "cannot read the controls of the job; trying again"),
        }
    }
}
