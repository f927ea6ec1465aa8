//! Contact with the NATS server: a lost server is reported with the duration of the loss.

use crate::dispatch::Trouble;
use async_nats::{Client, connection::State};
use std::time::Duration;
use tokio::time::Instant;

/// A shorter loss of the connection is not reported.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// Start of the loss of a server, and its reason.
#[derive(Debug, Default)]
pub(super) struct Contact {
    lost: Option<(Instant, String)>,
}

impl Contact {
    /// Stores the result of a check of the connection, or of a request. The first reason is kept: later ones
    /// are consequences.
    pub fn take_in(&mut self, seen: Result<(), String>) {
        match seen {
            Ok(()) => self.lost = None,
            Err(why) => self.lost = Some(self.lost.take().unwrap_or_else(|| (Instant::now(), why))),
        }
    }

    /// Obstacle if the server has been lost for longer than a reconnection takes.
    pub fn trouble(&self, url: &str) -> Option<Trouble> {
        let (since, why) = self.lost.as_ref()?;
        let (lasts, url, why) = (since.elapsed(), url.to_owned(), why.clone());
        (lasts >= TELL_AFTER).then_some(Trouble::NatsLost { url, why, lasts })
    }

    pub fn is_lost(&self) -> bool {
        self.lost.is_some()
    }
}

/// Whether the client is connected now; the library reconnects automatically.
pub(super) fn contact(client: &Client) -> Result<(), String> {
    match client.connection_state() {
        State::Connected => Ok(()),
        State::Pending | State::Disconnected => Err("the connection is broken".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_lost_server_is_reported_after_three_seconds_with_its_first_reason() {
        let mut contact = Contact::default();
        contact.take_in(Err("first".to_owned()));
        advance(TELL_AFTER - Duration::from_millis(1)).await;
        contact.take_in(Err("second".to_owned()));
        assert!(contact.is_lost() && contact.trouble("nats://host").is_none());
        advance(Duration::from_millis(1)).await;
        let lost =
            Trouble::NatsLost { url: "nats://host".to_owned(), why: "first".to_owned(), lasts: TELL_AFTER };
        assert_eq!(contact.trouble("nats://host"), Some(lost));
        contact.take_in(Ok(()));
        assert!(!contact.is_lost() && contact.trouble("nats://host").is_none());
    }
}
