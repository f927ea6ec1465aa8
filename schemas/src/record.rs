//! The common field of all JSON records: a version, which is checked first.

use serde::{Deserialize, de::DeserializeOwned};

/// A JSON record with its version in `version`.
///
/// A reader accepts its own version and all earlier ones: later fields are optional.
pub trait Record: DeserializeOwned {
    /// The newest version, which this program writes and reads.
    const VERSION: u32;

    /// Kind of the record, for people: `commit`, `manifest`.
    const KIND: &'static str;
}

/// Reason why bytes are not a readable record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A newer program wrote the record.
    #[error(
        "it is a {kind} of version {found}, written by a newer capfilt; this one reads versions up to \
         {known}: use the newer program for this job"
    )]
    Newer {
        /// Kind of the record.
        kind: &'static str,
        /// Version of the record.
        found: u64,
        /// Newest version that this program reads.
        known: u32,
    },
    /// The bytes are not a record of this kind.
    #[error("it is not a {kind} ({source})")]
    Malformed {
        /// Kind of the expected record.
        kind: &'static str,
        /// Error of the JSON reader.
        #[source]
        source: serde_json::Error,
    },
}

/// The only field that all versions of a record share.
#[derive(Deserialize)]
struct Header {
    version: u64,
}

/// Reads a record.
///
/// # Errors
/// [`RecordError::Newer`] for a version above [`Record::VERSION`], even if the other fields are unknown;
/// otherwise [`RecordError::Malformed`] for bytes that are not JSON of this form, and for version 0.
pub fn parse<T: Record>(bytes: &[u8]) -> Result<T, RecordError> {
    let malformed = |source| RecordError::Malformed { kind: T::KIND, source };
    let Header { version } = serde_json::from_slice(bytes).map_err(malformed)?;
    if version > u64::from(T::VERSION) {
        return Err(RecordError::Newer { kind: T::KIND, found: version, known: T::VERSION });
    }
    if version == 0 {
        return Err(malformed(serde::de::Error::custom("it has version 0, and versions begin with 1")));
    }
    serde_json::from_slice(bytes).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn a_record_of_a_newer_version_is_named_as_one_even_when_its_form_is_unknown() {
        let error = parse::<Failure>(br#"{"version": 2, "what": "unknown"}"#).unwrap_err().to_string();
        assert!(error.contains("failure of version 2, written by a newer capfilt"), "{error}");
        for bytes in
            [&b"{}"[..], b"null", b"", br#"{"version": 0}"#, br#"{"version": 1e400}"#, br#"{"version": 1}"#]
        {
            assert!(matches!(parse::<Failure>(bytes), Err(RecordError::Malformed { .. })));
        }
        assert!(parse::<Failure>("[".repeat(200_000).as_bytes()).is_err(), "depth is bounded");
    }
}
