//! Names of the input's text columns.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Names of the input's text columns: in the settings one name, or a list of names. The order is that of the
/// texts in the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextColumns(Vec<String>);

impl TextColumns {
    /// The names in their order.
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

impl Default for TextColumns {
    fn default() -> Self {
        Self::from("caption")
    }
}

impl From<&str> for TextColumns {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<Vec<String>> for TextColumns {
    fn from(names: Vec<String>) -> Self {
        Self(names)
    }
}

/// Names for people.
impl fmt::Display for TextColumns {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join(", "))
    }
}

/// One name is written as before there were lists, so that the records of equal settings have equal bytes.
impl Serialize for TextColumns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [name] => serializer.serialize_str(name),
            names => names.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for TextColumns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected the name of a column, or a list of names")]
        enum Written {
            Name(String),
            Names(Vec<String>),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Name(name) => Self(vec![name]),
            Written::Names(names) => Self(names),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_is_written_as_a_text_and_several_as_a_list() {
        for text in [r#""caption""#, r#"["alt_text","vlm_caption"]"#, "[]"] {
            let columns: TextColumns = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&columns).unwrap(), text);
        }
        let one: TextColumns = serde_json::from_str(r#"["caption"]"#).unwrap();
        assert_eq!(one, TextColumns::default());
        let error = serde_json::from_str::<TextColumns>("1").unwrap_err().to_string();
        assert!(error.contains("a list of names"), "{error}");
    }
}
