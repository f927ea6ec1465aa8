//! What can go wrong between us and a bucket.

use crate::{
    FaultKind,
    advice::advice,
    fault::{causes, in_full},
    link_refused::LinkRefused,
};
use capfilt_schemas::record::RecordError;

/// A request that failed: what was tried, on what, why.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("{url}: this is no URL capfilt can open ({why}); use s3://, gs://, az://, file:// or a path")]
    Url { url: String, why: String },
    #[error("{from}: {why}")]
    Environment {
        /// A variable, or a key of the settings.
        from: String,
        why: String,
    },
    #[error("cannot {what} {object}: {}{}", in_full(.source), advice(.object, .source))]
    Store {
        what: &'static str,
        object: String,
        #[source]
        source: object_store::Error,
    },
    #[error("{object} cannot be read: {source}")]
    Record {
        object: String,
        #[source]
        source: RecordError,
    },
    #[error("{0}")]
    Refused(String),
    #[error("{path}: {source}")]
    Local {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl BucketError {
    pub(crate) fn store(what: &'static str, object: impl ToString, source: object_store::Error) -> Self {
        Self::Store { what, object: object.to_string(), source }
    }

    /// Whether it may go away by itself: the store did not answer, or not as it should, but it did not
    /// refuse.
    pub fn may_pass(&self) -> bool {
        self.kind().is_some_and(|kind| !kind.is_final())
    }

    /// What the operating system said, when a local store failed.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        let Self::Store { source, .. } = self else { return None };
        let io = causes(source).filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        io.map(std::io::Error::kind).last()
    }

    /// What kind of failure it is, when the store failed.
    pub fn kind(&self) -> Option<FaultKind> {
        match self {
            Self::Store { source, .. } => Some(FaultKind::of(source)),
            _ => None,
        }
    }

    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store { source: object_store::Error::NotFound { .. }, .. })
    }

    /// Whether an object is there and is no record of its kind: damaged, or something else under a record's
    /// name.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Record { source: RecordError::Malformed { .. }, .. })
    }

    /// Whether the object would have been reached through a symbolic link.
    pub fn is_link(&self) -> bool {
        let Self::Store { source: object_store::Error::NotSupported { source }, .. } = self else {
            return false;
        };
        source.is::<LinkRefused>()
    }

    /// Whether the object is there, but in another state than asked for.
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Store { source: object_store::Error::Precondition { .. }, .. })
    }
}
