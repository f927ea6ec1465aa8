//! The name of a cut, which is also a part of the names of its objects.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Name of a cut: 1 to 64 letters, digits, `-`, `_` and `.`, with a letter or a digit at the start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CutName(String);

impl CutName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CutName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = text.len() <= 64
            && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(is_inner);
        let fault = || {
            format!(
                "{text:?} is not the name of a cut: use 1 to 64 of the characters a-z, A-Z, 0-9, `-`, `_` \
                 and `.`, with a letter or a digit first"
            )
        };
        is_name.then(|| Self(text.to_owned())).ok_or_else(fault)
    }
}

impl TryFrom<String> for CutName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CutName> for String {
    fn from(name: CutName) -> Self {
        name.0
    }
}

impl fmt::Display for CutName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_also_the_name_of_an_object() {
        for name in ["strict", "2026-11-30", "v1.2_b"] {
            assert_eq!(name.parse::<CutName>().unwrap().as_str(), name);
        }
        let long = "a".repeat(65);
        for name in ["", ".", "../x", "a/b", "a b", "-x", "ü", long.as_str()] {
            assert!(name.parse::<CutName>().is_err(), "{name}");
        }
        assert!(serde_json::from_str::<CutName>("\"a/b\"").is_err());
    }
}
