//! Faults of single requests, and the errors that they return.

use object_store::{
    Error,
    client::{HttpError, HttpErrorKind},
};
use std::{io, time::Duration};

/// Effect of a fault on one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request fails and has no effect.
    Fails(Cause),
    /// The request takes effect, and its answer is lost.
    LosesAnswer(Cause),
    /// The request is answered after this time.
    Delays(Duration),
    /// The listing breaks off after this number of objects.
    BreaksOffAfter(usize),
}

/// Cause of a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No connection: the request did not reach the store.
    Refused,
    /// The connection ended before the answer was complete.
    Interrupted,
    /// No answer within the client's patience.
    Silent,
    /// The store answered with this status.
    Status(u16),
    /// The credentials do not allow the request.
    Forbidden,
}

impl Cause {
    /// The error of a cloud's client for this cause.
    pub fn error(self) -> Error {
        match self {
            Self::Refused => http(HttpErrorKind::Connect, io::ErrorKind::ConnectionRefused.into()),
            Self::Interrupted => {
                http(HttpErrorKind::Interrupted, io::Error::other("end of file before the end"))
            }
            Self::Silent => http(HttpErrorKind::Timeout, io::Error::other("no progress")),
            Self::Status(status) => {
                generic(io::Error::other(format!("the answer has status code: {status}: ")))
            }
            Self::Forbidden => {
                Error::PermissionDenied { path: String::new(), source: io::Error::other("forbidden").into() }
            }
        }
    }
}

fn http(kind: HttpErrorKind, source: io::Error) -> Error {
    generic(HttpError::new(kind, source))
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "faulty", source: Box::new(source) }
}
