//! Errors of requests to a bucket.

use crate::{
    FaultKind,
    advice::advice,
    fault::{causes, in_full},
    link_refused::LinkRefused,
};
use capfilt_schemas::record::RecordError;

/// A failed request: the operation, the object, the reason.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum StoreError {
    #[error("{url}: capfilt cannot open this URL ({why}); use s3://, gs://, az://, hf://, file:// or a path")]
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

impl StoreError {
    /// Failure of an operation (`what`: "read", "list") on an object of a store.
    pub fn store(what: &'static str, object: impl ToString, source: object_store::Error) -> Self {
        Self::Store { what, object: object.to_string(), source }
    }

    /// Whether the failure may pass without a change: the store did not answer, or answered wrongly, but did
    /// not refuse.
    pub fn may_pass(&self) -> bool {
        self.kind().is_some_and(|kind| !kind.is_final())
    }

    /// Error kind of the operating system, if a local store failed.
    pub fn io_kind(&self) -> Option<std::io::ErrorKind> {
        let Self::Store { source, .. } = self else { return None };
        let io = causes(source).filter_map(|cause| cause.downcast_ref::<std::io::Error>());
        io.map(std::io::Error::kind).last()
    }

    /// Kind of the failure, if a store failed.
    pub fn kind(&self) -> Option<FaultKind> {
        match self {
            Self::Store { source, .. } => Some(FaultKind::of(source)),
            _ => None,
        }
    }

    /// Whether the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store { source: object_store::Error::NotFound { .. }, .. })
    }

    /// Whether the object exists and is not a record of its kind: it is damaged, or it is another object
    /// under a record's name.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Record { source: RecordError::Malformed { .. }, .. })
    }

    /// Whether the object's path leads through a symbolic link.
    pub fn is_link(&self) -> bool {
        let Self::Store { source: object_store::Error::NotSupported { source }, .. } = self else {
            return false;
        };
        source.is::<LinkRefused>()
    }

    /// Whether the object exists in another state than the requested one.
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Store { source: object_store::Error::Precondition { .. }, .. })
    }
}
