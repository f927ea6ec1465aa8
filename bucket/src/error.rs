//! What can go wrong between us and a bucket.

/// A request that failed: what was tried, on what, why.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("{url}: this is no URL capfilt can open ({why}); use s3://, gs://, az://, file:// or a path")]
    Url { url: String, why: String },
    #[error("cannot {what} {object}: {source}{}", advice(.source))]
    Store {
        what: &'static str,
        object: String,
        #[source]
        source: object_store::Error,
    },
    #[error("{object} is not a record of this version of capfilt: {source}")]
    Record {
        object: String,
        #[source]
        source: serde_json::Error,
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

    /// Whether there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store { source: object_store::Error::NotFound { .. }, .. })
    }

    /// Whether the object is there, but in another state than asked for.
    pub fn is_changed(&self) -> bool {
        matches!(self, Self::Store { source: object_store::Error::Precondition { .. }, .. })
    }
}

/// What to do about a store's error, where that is known.
fn advice(error: &object_store::Error) -> &'static str {
    use object_store::Error::{PermissionDenied, Unauthenticated};
    let is_refusal = matches!(error, PermissionDenied { .. } | Unauthenticated { .. });
    if is_refusal {
        "; the store refuses the credentials in the environment: are they the right ones, and do they allow this?"
    } else {
        ""
    }
}
