//! What every JSON record has: a version, checked before anything else is read.

use serde::{Deserialize, de::DeserializeOwned};

/// A JSON record that carries a version of its own in `version`.
///
/// A reader accepts its own version and all earlier ones: fields that were added since are optional.
pub trait Record: DeserializeOwned {
    /// The newest version this program writes, and can read.
    const VERSION: u32;

    /// What the record is, for people: `commit`, `manifest`.
    const KIND: &'static str;
}

/// Why bytes cannot be read as a record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error(
        "it is a {kind} of version {found}, written by a newer capfilt; this one reads versions up to {known}: use the \
         newer program for this job"
    )]
    Newer { kind: &'static str, found: u64, known: u32 },
    #[error("it is no {kind} ({source})")]
    Malformed {
        kind: &'static str,
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
/// [`RecordError::Newer`] when its version is above [`Record::VERSION`], whatever else is in it; otherwise
/// [`RecordError::Malformed`] when its bytes are not JSON of its form, or its version is 0.
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
        let error = parse::<Failure>(br#"{"version": 2, "what": "nobody knows"}"#).unwrap_err().to_string();
        assert!(error.contains("failure of version 2, written by a newer capfilt"), "{error}");
        for bytes in
            [&b"{}"[..], b"null", b"", br#"{"version": 0}"#, br#"{"version": 1e400}"#, br#"{"version": 1}"#]
        {
            assert!(matches!(parse::<Failure>(bytes), Err(RecordError::Malformed { .. })));
        }
        assert!(parse::<Failure>("[".repeat(200_000).as_bytes()).is_err(), "depth is bounded");
    }
}
