//! Bodies that are watched for progress, on their way out and in.

use super::{Stalled, Waiting};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpRequestBody, HttpResponseBody};
use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use tokio::time::Sleep;

/// Bytes of a body that are counted at once; a client holds a few of them in its own buffer.
const PIECE: usize = 64 << 10;

/// How much of a body has gone out.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    bytes: u64,
    gone: Arc<AtomicU64>,
}

impl Counted {
    pub(super) fn new(bytes: u64) -> Self {
        Self { bytes, gone: Arc::default() }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn gone(&self) -> u64 {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Bytes that the client lets go of when the system has taken them.
struct Piece {
    bytes: Bytes,
    gone: Arc<AtomicU64>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.gone.fetch_add(self.bytes.len() as u64, Ordering::Relaxed);
    }
}

/// A body cut into pieces that tell when they have gone out; no byte is copied.
pub(super) async fn pieces(mut body: HttpRequestBody, sent: &Counted) -> Result<Vec<Bytes>, HttpError> {
    let mut pieces = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(mut bytes) = frame?.into_data() else { continue };
        while !bytes.is_empty() {
            let bytes = bytes.split_to(PIECE.min(bytes.len()));
            pieces.push(Bytes::from_owner(Piece { bytes, gone: Arc::clone(&sent.gone) }));
        }
    }
    Ok(pieces)
}

/// The body of an answer, which breaks off when nothing of it comes for too long.
pub(super) struct Watched {
    body: HttpResponseBody,
    patience: Duration,
    waiting: Waiting,
    /// Since when it is waited for, and when to look again. Who does not ask for more does not wait.
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
        let look_every = self.patience.min(Duration::from_secs(1));
        loop {
            let look = || (Instant::now(), Box::pin(tokio::time::sleep(look_every)));
            let (since, sleep) = self.quiet.get_or_insert_with(look);
            ready!(sleep.as_mut().poll(context));
            sleep.as_mut().reset(tokio::time::Instant::now() + look_every);
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
