//! What can go wrong between us and a bucket.

/// A request that failed: what was tried, on what, why.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    #[error("{url}: this is no URL capfilt can open ({why}); use s3://, gs://, az://, file:// or a path")]
    Url { url: String, why: String },
    #[error("cannot {what} {object}: {}{}", in_full(.source), advice(.source))]
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

    /// Whether it may go away by itself: the store did not answer, or not as it should, but it did not refuse.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Store { source, .. } if crate::create::is_passing(source))
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

/// A store's error with its causes, each told once: object_store's errors tell some of them in their own text, not all.
fn in_full(error: &object_store::Error) -> String {
    let mut told = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !told.contains(text.trim()) {
            told = format!("{told}: {text}");
        }
        next = cause.source();
    }
    told
}

/// What to do about a store's error, where that is known. By its text: many have no kind of their own.
fn advice(error: &object_store::Error) -> &'static str {
    let told = in_full(error);
    let tells = |texts: &[&str]| texts.iter().any(|text| told.contains(text));
    if tells(&["403 Forbidden", "401 Unauthorized"]) {
        "; the store refuses the credentials in the environment: are they the right ones, and do they allow this?"
    } else if tells(&["/latest/api/token"]) {
        "; the environment holds no credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), and this machine has no role"
    } else if tells(&["URL scheme is not allowed"]) {
        "; an endpoint without TLS must be allowed: AWS_ALLOW_HTTP=true"
    } else {
        ""
    }
}
