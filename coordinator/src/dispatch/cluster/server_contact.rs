//! Whether NATS is there: a lost server is named, with how long it has been lost.

use crate::dispatch::Trouble;
use async_nats::{Client, connection::State};
use std::time::Duration;
use tokio::time::Instant;

/// A connection that is made again sooner is no news.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// Since when a server has been lost, and why it seems so.
#[derive(Debug, Default)]
pub(super) struct Contact {
    lost: Option<(Instant, String)>,
}

impl Contact {
    /// Takes in what a look at the connection, or a request, has shown. The first reason is kept: later ones
    /// are echoes.
    pub fn take_in(&mut self, seen: Result<(), String>) {
        match seen {
            Ok(()) => self.lost = None,
            Err(why) => self.lost = Some(self.lost.take().unwrap_or_else(|| (Instant::now(), why))),
        }
    }

    /// What to tell of a server that has been lost for longer than a reconnection takes.
    pub fn trouble(&self, url: &str) -> Option<Trouble> {
        let (since, why) = self.lost.as_ref()?;
        let (lasts, url, why) = (since.elapsed(), url.to_owned(), why.clone());
        (lasts >= TELL_AFTER).then_some(Trouble::NatsLost { url, why, lasts })
    }

    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }
}

/// Whether the client has a connection now; the library makes a new one by itself.
pub(super) fn contact(client: &Client) -> Result<(), String> {
    match client.connection_state() {
        State::Connected => Ok(()),
        State::Pending | State::Disconnected => Err("the connection is broken".to_owned()),
    }
}
