//! Faults between a client and a store, on all calls: answers that are errors, late, truncated or
//! never sent.
//!
//! A test arms a fault, which one of the next calls meets. The fault acts on the connection, below everything
//! the client knows: a reset is a reset, and a create whose answer is lost has taken effect.

use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Frame, Incoming, SizeHint},
    header::{CONTENT_LENGTH, IF_NONE_MATCH},
};
use s3s::Body;
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;

/// Effect of a fault on a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StoreFault {
    /// It and those after it, `times` in all, are answered with an error.
    Status { code: u16, times: u32, when: When },
    /// It is answered with an error of this status and name, and so are all after it.
    Refusal { status: u16, name: &'static str },
    /// The connection is reset.
    Reset(When),
    /// The answer comes so late.
    Stall(Duration),
    /// The answer to a read or a listing ends after this share of its body.
    Torn(f64),
    /// A create takes effect, and its answer is lost: the connection is closed or reset.
    LostCreate { by_reset: bool },
}

/// Whether a call that goes wrong takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    BeforeIt,
    AfterIt,
}

/// Faults that wait for their calls.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<Armed>>>);

#[derive(Debug)]
struct Armed {
    fault: StoreFault,
    /// Part of the targets it can hit.
    about: &'static str,
    /// Calls it could hit and lets pass.
    spares: u32,
}

impl Faults {
    /// A fault for the next call it can hit after `spares` others.
    pub fn arm(&self, fault: StoreFault, spares: u32) {
        self.0.lock().unwrap().push(Armed { fault, about: "", spares });
    }

    /// A fault for the next call about this.
    pub fn arm_for(&self, about: &'static str, fault: StoreFault) {
        self.0.lock().unwrap().push(Armed { fault, about, spares: 0 });
    }

    /// Whether all faults have happened.
    pub fn are_spent(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    /// The fault this call suffers.
    fn hitting<B>(&self, call: &Request<B>) -> Option<StoreFault> {
        let mut armed = self.0.lock().unwrap();
        let at = armed.iter().position(|armed| armed.can_hit(call))?;
        if armed[at].spares > 0 {
            armed[at].spares -= 1;
            return None;
        }
        match &mut armed[at].fault {
            StoreFault::Status { times, .. } if *times > 1 => {
                *times -= 1;
                Some(armed[at].fault)
            }
            StoreFault::Refusal { .. } => Some(armed[at].fault),
            _ => Some(armed.remove(at).fault),
        }
    }

    /// Serves a call, as far as it is served. An error ends the connection without an answer.
    pub async fn answer<Served>(
        &self,
        call: Request<Incoming>,
        socket: &TcpStream,
        serve: impl FnOnce(Request<Incoming>) -> Served,
    ) -> Result<Response<Body>, Broken>
    where
        Served: Future<Output = Result<Response<Body>, s3s::HttpError>>,
    {
        let Some(fault) = self.hitting(&call) else { return serve(call).await.map_err(Broken::by) };
        let has_effect = !matches!(
            fault,
            StoreFault::Status { when: When::BeforeIt, .. }
                | StoreFault::Reset(When::BeforeIt)
                | StoreFault::Refusal { .. }
        );
        let answer = if has_effect { serve(call).await.map_err(Broken::by)? } else { Response::default() };
        match fault {
            StoreFault::Status { code, .. } => Ok(refusal(code, "SlowDown")),
            StoreFault::Refusal { status, name } => Ok(refusal(status, name)),
            StoreFault::Stall(time) => {
                tokio::time::sleep(time).await;
                Ok(answer)
            }
            StoreFault::Torn(share) => Ok(torn(answer, share)),
            StoreFault::LostCreate { by_reset: false } => Err(Broken::by("the connection is closed")),
            StoreFault::Reset(_) | StoreFault::LostCreate { by_reset: true } => Err(reset(socket)),
        }
    }
}

impl Armed {
    fn can_hit<B>(&self, call: &Request<B>) -> bool {
        let is_kind = match self.fault {
            StoreFault::Torn(_) => call.method() == Method::GET,
            StoreFault::LostCreate { .. } => {
                call.method() == Method::PUT && call.headers().contains_key(IF_NONE_MATCH)
            }
            _ => true,
        };
        is_kind && call.uri().to_string().contains(self.about)
    }
}

/// Ends a connection the hard way.
pub(super) fn reset(socket: &TcpStream) -> Broken {
    socket.set_zero_linger().unwrap();
    Broken::by("the connection is reset")
}

fn refusal(code: u16, name: &str) -> Response<Body> {
    let message = "<Message>a fault of the tests</Message><Region>eu-north-1</Region>";
    let xml = format!("<?xml version=\"1.0\"?><Error><Code>{name}</Code>{message}</Error>");
    let mut answer = Response::new(Body::from(xml));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

/// The answer with its whole length announced, and only a share of its body.
fn torn(answer: Response<Body>, share: f64) -> Response<Body> {
    let announced =
        answer.headers().get(CONTENT_LENGTH).map(|length| length.to_str().unwrap().parse().unwrap());
    let whole: u64 = announced.or(answer.body().size_hint().exact()).unwrap();
    let left = (whole as f64 * share) as usize;
    let (mut parts, body) = answer.into_parts();
    parts.headers.insert(CONTENT_LENGTH, whole.into());
    // What is sent must be on its way before the end is seen: an error takes back what waits in the server.
    let end = Box::pin(tokio::time::sleep(Duration::from_millis(20)));
    Response::from_parts(parts, Body::http_body_unsync(Torn { body: Box::pin(body), left, end }))
}

/// A body that breaks off.
struct Torn {
    body: Pin<Box<Body>>,
    left: usize,
    end: Pin<Box<tokio::time::Sleep>>,
}

impl hyper::body::Body for Torn {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.left == 0 {
            return self.end.as_mut().poll(context).map(|()| Some(Err(Broken::by("the answer ends here"))));
        }
        let frame = std::task::ready!(self.body.as_mut().poll_frame(context));
        let Some(Ok(Ok(bytes))) = frame.map(|frame| frame.map(Frame::into_data)) else {
            return Poll::Ready(None);
        };
        let sent = bytes.slice(..bytes.len().min(self.left));
        self.left -= sent.len();
        Poll::Ready(Some(Ok(Frame::data(sent))))
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a connection ends without an answer, or within one.
#[derive(Debug)]
pub struct Broken(String);

impl Broken {
    fn by(why: impl fmt::Debug) -> Self {
        Self(format!("{why:?}"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}
