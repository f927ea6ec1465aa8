//! Request and response bodies whose progress is observed.

use super::{stalled::Stalled, waiting::Waiting};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::{
    PutPayload,
    client::{HttpError, HttpErrorKind, HttpRequestBody, HttpResponseBody},
};
use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Length of the pieces of a request body, in bytes; a client holds a few of them in its own buffer.
const PIECE: usize = 64 << 10;

/// A request body in pieces, each in a separate buffer.
///
/// The client clones a piece before writing it, and drops the clone when the system has taken the bytes. A
/// buffer with more than one owner is therefore being written.
pub(super) struct Sending {
    pieces: PutPayload,
}

impl Sending {
    /// Copies a body. Memory: the length of the body, until the request ends.
    pub(super) async fn copy_of(mut body: HttpRequestBody) -> Result<Self, HttpError> {
        let mut pieces = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            if let Ok(bytes) = frame?.into_data() {
                pieces.extend(bytes.chunks(PIECE).map(Bytes::copy_from_slice));
            }
        }
        Ok(Self { pieces: pieces.into_iter().collect() })
    }

    /// A body whose progress is not observed.
    pub(super) fn unwatched() -> Self {
        Self { pieces: PutPayload::new() }
    }

    /// Body for the client.
    pub(super) fn body(&self) -> HttpRequestBody {
        self.pieces.clone().into()
    }

    /// Length of the body in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.pieces.content_length() as u64
    }

    /// Number of the first piece that the client is writing; `None` before the first and after the last
    /// piece.
    pub(super) fn position(&self) -> Option<usize> {
        self.pieces.as_ref().iter().position(|piece| !piece.is_unique())
    }
}

/// A response body that ends with an error when no byte arrives for too long.
pub(super) struct Watched {
    body: HttpResponseBody,
    patience: Duration,
    waiting: Waiting,
    /// Start of the wait, and time of the next check. A caller that requests no bytes does not wait.
    quiet: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Watched {
    pub(super) fn new(body: HttpResponseBody, patience: Duration, waiting: Waiting) -> Self {
        Self { body, patience, waiting, quiet: None }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.quiet = None;
            return Poll::Ready(frame);
        }
        let check_every = self.patience.min(Duration::from_secs(1));
        loop {
            let check = || (Instant::now(), Box::pin(tokio::time::sleep(check_every)));
            let (since, sleep) = self.quiet.get_or_insert_with(check);
            ready!(sleep.as_mut().poll(context));
            sleep.as_mut().reset(Instant::now() + check_every);
            let after = since.elapsed();
            if after > self.patience {
                self.quiet = None;
                let stalled = Stalled { after, was_sending: false };
                return Poll::Ready(Some(Err(HttpError::new(HttpErrorKind::Timeout, stalled))));
            }
            self.waiting.say(after);
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
