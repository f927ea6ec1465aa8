//! Errors of the start of the live page.

use capfilt_coordinator::JobError;
use std::{io, net::SocketAddr};

/// Arguments that would make the page unsafe.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum AccessError {
    #[error(
        "{listen} is not a loopback address, so the page needs a token: put one of at least 16 characters \
         into an environment variable and name it with --token-env"
    )]
    NoToken { listen: SocketAddr },
    #[error("--token-env: the environment variable {name} is not set, or is not UTF-8")]
    NoVariable { name: String },
    #[error("--token-env: the token in {name} must have 16 to 256 visible ASCII characters")]
    BadToken { name: String },
    #[error("--host {name:?} is not a host name: write the name alone, without scheme and port")]
    BadHost { name: String },
}

/// The page cannot be served.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum ServeError {
    #[error("cannot listen at {listen}: {source}; choose another address with --listen")]
    Listen {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Job(#[from] JobError),
}
