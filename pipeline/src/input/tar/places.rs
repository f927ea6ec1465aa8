//! Where a sample of a tar has the value of a column.

use crate::input::InputColumns;
use capfilt_schemas::predicate::Predicate;
use std::{collections::BTreeSet, sync::Arc};

/// Suffixes of images while `input.image` has its default.
const IMAGES: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// Default of `input.image`.
const DEFAULT_IMAGE: &str = "jpg";

/// Default of `input.key`: the sample's name, as `__key__`.
const DEFAULT_KEY: &str = "key";

/// Default of `input.text`: also the member `.txt`, in which img2dataset writes its captions.
const DEFAULT_TEXT: &str = "caption";

/// Place of a value in a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The name that the members share.
    Key,
    /// `json[caption]`: a key of the object in the member with this suffix.
    Field { suffix: String, key: String },
    /// The member with this suffix, or else this key of `.json`.
    Named(String),
    /// As `Named("caption")`, or else the member `.txt`.
    Caption,
}

impl Place {
    pub fn of(column: &str) -> Self {
        match column.strip_suffix(']').and_then(|column| column.split_once('[')) {
            _ if column == "__key__" => Self::Key,
            Some((suffix, key)) if !suffix.is_empty() => {
                Self::Field { suffix: suffix.to_lowercase(), key: key.to_owned() }
            }
            _ => Self::Named(column.to_owned()),
        }
    }

    fn of_key(column: &str) -> Self {
        if column == DEFAULT_KEY { Self::Key } else { Self::of(column) }
    }

    fn of_text(column: &str) -> Self {
        if column == DEFAULT_TEXT { Self::Caption } else { Self::of(column) }
    }

    /// Suffixes of the members that may have the value.
    fn suffixes(&self) -> Vec<String> {
        match self {
            Self::Key => Vec::new(),
            Self::Field { suffix, .. } => vec![suffix.clone()],
            Self::Named(name) => vec![name.to_lowercase(), "json".to_owned()],
            Self::Caption => ["caption", "json", "txt"].map(str::to_owned).into(),
        }
    }

    /// Suffix of the object that may have the value.
    fn object(&self) -> Option<&str> {
        match self {
            Self::Key => None,
            Self::Field { suffix, .. } => Some(suffix),
            Self::Named(_) | Self::Caption => Some("json"),
        }
    }
}

/// The members and values that a job reads of each sample.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// Suffixes of the image, the preferred one first.
    images: Vec<String>,
    pub key: Place,
    /// Text columns, each with its place.
    pub texts: Vec<(Arc<str>, Place)>,
    /// Columns of the condition.
    pub compared: Vec<(String, Place)>,
    pub passthrough: Vec<(String, Place)>,
    /// Suffixes of other members that are read.
    read: BTreeSet<String>,
    /// Suffixes of members that are parsed as JSON objects.
    objects: BTreeSet<String>,
}

/// Use of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An image; a smaller number is preferred.
    Image(usize),
    /// A text or a JSON object.
    Value,
    /// The member is not read.
    Unused,
}

impl Places {
    pub fn of(columns: &InputColumns) -> Self {
        let named = |name: &String| (name.clone(), Place::of(name));
        let compared: Vec<_> = columns.selection.iter().flat_map(Predicate::columns).collect();
        let compared: Vec<_> = compared.iter().map(|name| named(&(*name).to_owned())).collect();
        let passthrough: Vec<_> = columns.passthrough.iter().map(named).collect();
        let key = Place::of_key(&columns.key);
        let texts: Vec<_> =
            columns.texts.iter().map(|name| (Arc::clone(name), Place::of_text(name))).collect();
        let others = compared.iter().chain(&passthrough).map(|(_, place)| place);
        let all: Vec<&Place> = texts.iter().map(|(_, place)| place).chain(others).chain([&key]).collect();
        let read = all.iter().flat_map(|place| place.suffixes()).collect();
        let objects = all.iter().filter_map(|place| place.object()).map(str::to_owned).collect();
        Self { images: images(&columns.image), key, texts, compared, passthrough, read, objects }
    }

    pub fn role(&self, suffix: &str) -> Role {
        match self.images.iter().position(|image| image == suffix) {
            Some(at) => Role::Image(at),
            None if self.read.contains(suffix) => Role::Value,
            None => Role::Unused,
        }
    }

    pub fn is_object(&self, suffix: &str) -> bool {
        self.objects.contains(suffix)
    }
}

/// Suffixes of `input.image`, which are separated by semicolons as in webdataset.
fn images(column: &str) -> Vec<String> {
    match column {
        DEFAULT_IMAGE => IMAGES.map(str::to_owned).into(),
        listed => listed.split(';').map(|suffix| suffix.trim().to_lowercase()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_a_member_or_a_key_of_json() {
        assert_eq!(Place::of("__key__"), Place::Key);
        let field = Place::Field { suffix: "json".to_owned(), key: "a[b".to_owned() };
        assert_eq!(Place::of("JSON[a[b]"), field);
        assert_eq!(Place::of("txt"), Place::Named("txt".to_owned()));
        assert_eq!(Place::of("[x]"), Place::Named("[x]".to_owned()));
        assert_eq!((Place::of_key("key"), Place::of_text("caption")), (Place::Key, Place::Caption));
    }

    #[test]
    fn the_default_image_has_any_usual_suffix_and_another_only_the_listed_ones() {
        assert_eq!(images("jpg").len(), 8);
        assert_eq!(images("PNG;left.jpg"), ["png", "left.jpg"]);
    }
}
