//! Fields of a form, or of the query of an address.

use std::collections::BTreeMap;
use url::form_urlencoded;

/// Most fields that are read.
const FIELDS: usize = 16;

/// Fields by name; of a repeated name, the last field counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<String, String>);

impl Fields {
    /// Reads URL-encoded fields; bytes that are not UTF-8 become replacement characters.
    pub fn parse(text: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(text).take(FIELDS);
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Fields of the query of an address.
    pub fn of_query(query: Option<&str>) -> Self {
        Self::parse(query.unwrap_or("").as_bytes())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_fields_are_decoded_and_their_number_is_bounded() {
        let fields = Fields::parse(b"a=1+2&b=%C3%A4%26&a=3&c");
        assert_eq!(
            [fields.get("a"), fields.get("b"), fields.get("c")],
            [Some("3"), Some("\u{e4}&"), Some("")]
        );
        assert_eq!(fields.get("d"), None);
        let many: String = (0..1000).map(|n| format!("f{n}=&")).collect();
        assert_eq!(Fields::parse(many.as_bytes()).0.len(), FIELDS);
    }
}
