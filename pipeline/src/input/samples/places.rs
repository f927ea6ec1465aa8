//! Where a sample or a record has the value of a column.

use crate::input::InputColumns;
use capfilt_schemas::{plan::IMAGE_SUFFIXES, predicate::Predicate, record_columns};
use std::{collections::BTreeSet, sync::Arc};

/// Default of `input.image`.
const DEFAULT_IMAGE: &str = "jpg";

/// Default of `input.key`: the sample's name, as `__key__`.
const DEFAULT_KEY: &str = "key";

/// Default of `input.text`: also the member `.txt`, in which img2dataset writes its captions.
const DEFAULT_TEXT: &str = "caption";

/// Place of a value in a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::input) enum Place {
    /// The name that the members share.
    Key,
    /// `json[caption]`: a key of the object in the member with this suffix.
    Field { suffix: String, key: String },
    /// For each name in turn: the member with this suffix, or else this key of `.json`.
    Named(Vec<String>),
}

/// Parts of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::input) enum Kind {
    /// Members with one name, of a tar or a folder.
    Members,
    /// One record, which counts as the object in the member `.json`.
    Record,
}

impl Place {
    pub fn of(column: &str) -> Self {
        match column.strip_suffix(']').and_then(|column| column.split_once('[')) {
            _ if column == "__key__" => Self::Key,
            Some((suffix, key)) if !suffix.is_empty() => {
                Self::Field { suffix: suffix.to_lowercase(), key: key.to_owned() }
            }
            _ => Self::Named(vec![column.to_owned()]),
        }
    }

    fn of_key(column: &str) -> Self {
        if column == DEFAULT_KEY { Self::Key } else { Self::of(column) }
    }

    fn of_text(column: &str, kind: Kind) -> Self {
        match kind {
            Kind::Members if column == DEFAULT_TEXT => {
                Self::Named(["caption", "txt"].map(str::to_owned).into())
            }
            Kind::Members => Self::of(column),
            Kind::Record => Self::in_record(column),
        }
    }

    /// Place of the image's name: a path or a link.
    fn of_image(column: &str, kind: Kind) -> Self {
        if kind == Kind::Record { Self::in_record(column) } else { Self::of(column) }
    }

    fn in_record(column: &str) -> Self {
        Self::Named(record_columns(column).into_iter().map(str::to_owned).collect())
    }

    /// Suffixes of the members that may have the value.
    fn suffixes(&self) -> Vec<String> {
        match self {
            Self::Key => Vec::new(),
            Self::Field { suffix, .. } => vec![suffix.clone()],
            Self::Named(names) => {
                names.iter().map(|name| name.to_lowercase()).chain(["json".to_owned()]).collect()
            }
        }
    }

    /// Suffix of the object that may have the value.
    fn object(&self) -> Option<&str> {
        match self {
            Self::Key => None,
            Self::Field { suffix, .. } => Some(suffix),
            Self::Named(_) => Some("json"),
        }
    }
}

/// The members and values that a job reads of each sample.
#[derive(Debug, Clone)]
pub(in crate::input) struct Places {
    /// Suffixes of the image, the preferred one first.
    images: Vec<String>,
    /// The image's name, of samples without the bytes of an image; `None` if such a name is not read.
    pub named: Option<Place>,
    /// Digest of a linked image.
    pub digest: Option<Place>,
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
pub(in crate::input) enum Role {
    /// An image; a smaller number is preferred.
    Image(usize),
    /// A text or a JSON object.
    Value,
    /// The member is not read.
    Unused,
}

impl Places {
    pub fn of(columns: &InputColumns, kind: Kind) -> Self {
        let named = |name: &String| (name.clone(), Place::of(name));
        let compared: Vec<_> = columns.selection.iter().flat_map(Predicate::columns).collect();
        let compared: Vec<_> = compared.iter().map(|name| named(&(*name).to_owned())).collect();
        let passthrough: Vec<_> = columns.passthrough.iter().map(named).collect();
        let key = Place::of_key(&columns.key);
        let texts: Vec<_> =
            columns.texts.iter().map(|name| (Arc::clone(name), Place::of_text(name, kind))).collect();
        let others = compared.iter().chain(&passthrough).map(|(_, place)| place);
        let reads_names = kind == Kind::Record || columns.links.is_some();
        let image = reads_names.then(|| Place::of_image(&columns.image, kind));
        let digest = columns.digest().map(Place::of);
        let all: Vec<&Place> = texts
            .iter()
            .map(|(_, place)| place)
            .chain(others)
            .chain(&image)
            .chain(&digest)
            .chain([&key])
            .collect();
        let read = all.iter().flat_map(|place| place.suffixes()).collect();
        let objects = all.iter().filter_map(|place| place.object()).map(str::to_owned).collect();
        let images = images(&columns.image);
        Self { images, named: image, digest, key, texts, compared, passthrough, read, objects }
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
        DEFAULT_IMAGE => IMAGE_SUFFIXES.map(str::to_owned).into(),
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
        let named = |names: &[&str]| Place::Named(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!((Place::of("txt"), Place::of("[x]")), (named(&["txt"]), named(&["[x]"])));
        assert_eq!(Place::of_key("key"), Place::Key);
        assert_eq!(Place::of_text("caption", Kind::Members), named(&["caption", "txt"]));
        assert_eq!(Place::of_text("caption", Kind::Record), named(&["caption", "text"]));
        assert_eq!(Place::of_image("jpg", Kind::Record), named(&["jpg", "file_name", "image"]));
    }

    #[test]
    fn the_default_image_has_any_usual_suffix_and_another_only_the_listed_ones() {
        assert_eq!(images("jpg").len(), 8);
        assert_eq!(images("PNG;left.jpg"), ["png", "left.jpg"]);
    }
}
