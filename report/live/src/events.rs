//! Server-sent events: the sections of the page that changed.

use crate::feed::{Feed, View};
use axum::{
    body::{Body, Bytes},
    http::header,
    response::{IntoResponse as _, Response},
};
use futures::stream;
use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};

/// Largest number of watchers. Memory: about 64 KiB each, for the events that the connection has not sent.
pub(crate) const WATCHERS: usize = 128;

/// Interval of the comments that keep an idle connection open, and that find a closed one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// State of one watcher.
struct Watcher {
    views: watch::Receiver<Arc<View>>,
    /// Versions of the sections that were sent, in the order of the sections.
    sent: Vec<u64>,
    unsent: VecDeque<Bytes>,
    /// The watcher's place among all.
    _place: OwnedSemaphorePermit,
}

/// Events of a watcher, without an end: first every section, then those that changed.
pub(crate) fn answer(feed: &Feed, place: OwnedSemaphorePermit) -> Response {
    let mut views = feed.watch();
    views.mark_changed();
    let watcher = Watcher { views, sent: Vec::new(), unsent: VecDeque::new(), _place: place };
    let events = stream::unfold(watcher, |mut watcher| async move {
        while watcher.unsent.is_empty() {
            match timeout(KEEP_ALIVE, watcher.views.changed()).await {
                Ok(changed) => changed.map(|()| watcher.take_changed()).ok()?,
                Err(_) => watcher.unsent.push_back(Bytes::from_static(b":\n\n")),
            }
        }
        let event = watcher.unsent.pop_front()?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

impl Watcher {
    fn take_changed(&mut self) {
        let view = Arc::clone(&self.views.borrow_and_update());
        for (at, section) in view.sections.iter().enumerate() {
            if self.sent.get(at) != Some(&section.version) {
                self.unsent.push_back(event(section.id, &section.html));
            }
        }
        self.sent = view.sections.iter().map(|section| section.version).collect();
    }
}

/// One event; every line of its data has the name of the field. A carriage return would end a line too.
fn event(name: &str, data: &str) -> Bytes {
    let mut event = format!("event: {name}\n");
    data.split(['\n', '\r']).for_each(|line| event.extend(["data: ", line, "\n"]));
    event.push('\n');
    event.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_with_line_ends_is_one_event() {
        assert_eq!(event("a", "b\nevent: c\r\rd"), "event: a\ndata: b\ndata: event: c\ndata: \ndata: d\n\n");
    }
}
