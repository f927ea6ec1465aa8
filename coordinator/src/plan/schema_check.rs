//! Checks that a file has the columns that the settings name, in types that a worker can read.

use arrow::datatypes::{DataType, Field, Schema};
use capfilt_schemas::{
    predicate::{Literal, Predicate},
    settings::{Input, Links},
};
use std::collections::HashSet;

/// Least similarity (Jaro-Winkler, 1 is equal) of a misspelt name to the nearest name.
const SIMILAR: f64 = 0.7;

/// Most levels of a pass-through column. From about 64 levels on, Arrow's readers in every language refuse
/// Arrow's own description of the schema, which the pairs table contains.
const PASSTHROUGH_LEVELS: usize = 50;

/// Columns that a job needs in every file.
#[derive(Debug, Clone)]
pub struct RequiredColumns {
    image: String,
    /// Whether a row has a clip instead of an image.
    clips: bool,
    texts: Vec<String>,
    key: String,
    /// Columns that the condition reads, with the literals that they are compared with.
    compared: Vec<(String, Option<Literal>)>,
    /// Types of these columns in a format without types.
    assumed: Vec<(String, DataType)>,
    /// Columns that are only copied, of any type.
    copied: Vec<String>,
    /// Column with the digests of linked images.
    digest: Option<String>,
}

/// Setting that names the column with the digests of linked images.
const DIGEST: &str = "links.digest";

/// Optional parts of a usable file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    pub has_key: bool,
}

impl RequiredColumns {
    pub fn of(input: &Input, filter: Option<&Predicate>) -> Self {
        let assumed = filter.iter().flat_map(|filter| filter.assumed_types());
        let uses = filter.iter().flat_map(|filter| filter.uses());
        Self {
            image: input.image.clone(),
            clips: input.frames.is_some(),
            texts: input.text.names().to_vec(),
            key: input.key.clone(),
            compared: uses.map(|(name, literal)| (name.to_owned(), literal.cloned())).collect(),
            assumed: assumed.map(|(name, kind)| (name.to_owned(), kind)).collect(),
            copied: input.passthrough.clone(),
            digest: None,
        }
    }

    /// The columns, with that of the links.
    pub fn with_links(self, links: &Links) -> Self {
        Self { digest: links.digest.clone().filter(|_| links.fetch), ..self }
    }

    /// Columns of a file whose format has no types: bytes for the image, and what a condition compares with;
    /// text for the rest.
    pub fn assumed(&self) -> Schema {
        let image = [(&self.image, DataType::Binary)].into_iter();
        let texts = self.texts.iter().chain([&self.key]).chain(&self.copied).chain(&self.digest);
        let texts = texts.map(|name| (name, DataType::Utf8));
        let compared = self.assumed.iter().map(|(name, kind)| (name, kind.clone()));
        let mut seen = HashSet::new();
        let once = image.chain(compared).chain(texts).filter(|(name, _)| seen.insert(name.as_str()));
        Schema::new(once.map(|(name, kind)| Field::new(name, kind, true)).collect::<Vec<_>>())
    }

    /// Checks whether a file with this schema can be cleaned. The error has the reason and the remedy.
    pub fn check(&self, schema: &Schema, encrypted: &[String]) -> Result<Fit, String> {
        let image = found(schema, "input.image", &self.image)?;
        if self.clips && !is_clip(image) {
            let expected = "a list of image bytes or of struct{bytes}, as input.frames is set";
            return Err(wrong_type("input.image", &self.image, image, expected));
        }
        if !self.clips && is_clip(image) {
            let advice = "set input.frames to the number of frames to judge";
            return Err(format!("column `{}` has clips, {image}; {advice}", self.image));
        }
        if !self.clips && !is_image(image) {
            let expected = "bytes, text (a path below input.url, or a link) or a struct with bytes and path";
            return Err(wrong_type("input.image", &self.image, image, expected));
        }
        for name in &self.texts {
            let text = found(schema, "input.text", name)?;
            if !is_texts(text) {
                return Err(wrong_type("input.text", name, text, "text or a list of texts"));
            }
        }
        for name in &self.copied {
            let levels = levels(found(schema, "input.passthrough", name)?);
            if levels > PASSTHROUGH_LEVELS {
                return Err(format!(
                    "column `{name}` is nested {levels} levels deep, and many readers of Parquet stop at 64; \
                     input.passthrough takes columns of up to {PASSTHROUGH_LEVELS}"
                ));
            }
        }
        for (name, literal) in &self.compared {
            let kind = found(schema, "input.where", name)?;
            if let Some(Err(problem)) = literal.as_ref().map(|literal| literal.against(kind)) {
                return Err(format!("column `{name}` {problem}"));
            }
        }
        if let Some(name) = &self.digest {
            let digest = found(schema, DIGEST, name)?;
            if !is_text(digest) {
                return Err(wrong_type(DIGEST, name, digest, "text: MD5, SHA-256 or SHA-512 in hexadecimal"));
            }
        }
        let key = type_of(schema, &self.key);
        if let Some(key) = key.filter(|key| !is_text(key) && !key.is_integer()) {
            return Err(wrong_type("input.key", &self.key, key, "text or an integer"));
        }
        self.each_once_and_readable(schema, encrypted)?;
        Ok(Fit { has_key: key.is_some() })
    }

    /// Every column that is read, with the setting that names it.
    fn read(&self) -> impl Iterator<Item = (&str, &str)> {
        let named = [("input.image", &self.image), ("input.key", &self.key)];
        let texts = self.texts.iter().map(|name| ("input.text", name));
        let compared = self.compared.iter().map(|(name, _)| ("input.where", name));
        let copied = self.copied.iter().map(|name| ("input.passthrough", name));
        let digest = self.digest.iter().map(|name| (DIGEST, name));
        named
            .into_iter()
            .chain(texts)
            .chain(compared)
            .chain(copied)
            .chain(digest)
            .map(|(setting, name)| (setting, name.as_str()))
    }

    fn each_once_and_readable(&self, schema: &Schema, encrypted: &[String]) -> Result<(), String> {
        for (setting, name) in self.read() {
            let called_so = schema.fields().iter().filter(|field| field.name() == name);
            let fields: Vec<_> = called_so.collect();
            if fields.len() > 1 {
                let times = fields.len();
                return Err(format!(
                    "there are {times} columns called `{name}` ({setting}), and the file does not define \
                     which is meant; rename or drop all but one"
                ));
            }
            if let Some(twice) = fields.first().and_then(|field| field_twice(field.data_type())) {
                return Err(format!(
                    "column `{name}` ({setting}) has several fields called `{twice}`; rename or drop all but \
                     one"
                ));
            }
            if encrypted.iter().any(|column| column == name) {
                return Err(format!(
                    "column `{name}` ({setting}) is encrypted; write the file without encryption for this \
                     column"
                ));
            }
        }
        Ok(())
    }
}

/// A name that two fields of one struct share, at any level of a type.
fn field_twice(kind: &DataType) -> Option<&str> {
    let fields = match kind {
        DataType::Struct(fields) => fields.iter().collect(),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => vec![field],
        DataType::Map(field, _) => vec![field],
        _ => vec![],
    };
    let mut seen = HashSet::new();
    let here = fields.iter().map(|field| field.name().as_str()).find(|name| !seen.insert(*name));
    here.or_else(|| fields.iter().find_map(|field| field_twice(field.data_type())))
}

/// Levels of nested structs, lists and maps, including the leaf's level.
fn levels(kind: &DataType) -> usize {
    1 + match kind {
        DataType::Struct(fields) => fields.iter().map(|field| levels(field.data_type())).max().unwrap_or(0),
        DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
            levels(field.data_type())
        }
        DataType::Map(field, _) => levels(field.data_type()),
        _ => 0,
    }
}

fn type_of<'a>(schema: &'a Schema, name: &str) -> Option<&'a DataType> {
    schema.column_with_name(name).map(|(_, field)| field.data_type())
}

fn found<'a>(schema: &'a Schema, setting: &str, name: &str) -> Result<&'a DataType, String> {
    type_of(schema, name).ok_or_else(|| {
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let likeness = |known: &&&str| strsim::jaro_winkler(known, name);
        let nearest = names.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        let nearest = nearest.filter(|nearest| likeness(nearest) >= SIMILAR);
        let advice =
            nearest.map(|nearest| format!("; did you mean {setting} = \"{nearest}\"?")).unwrap_or_default();
        format!("there is no column `{name}` ({setting}); the columns are {}{advice}", names.join(", "))
    })
}

fn wrong_type(setting: &str, name: &str, kind: &DataType, expected: &str) -> String {
    format!("column `{name}` is {kind}, expected {expected}; is {setting} the right column?")
}

/// A column of type Null has no values of any type; that is not a fault of the file.
fn is_bytes(kind: &DataType) -> bool {
    matches!(kind, DataType::Null | DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Null | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Texts, or lists of texts; bytes may be texts.
fn is_texts(kind: &DataType) -> bool {
    match kind {
        DataType::List(item) => is_bytes(item.data_type()) || is_text(item.data_type()),
        kind => is_bytes(kind) || is_text(kind),
    }
}

/// Lists of encoded frames.
fn is_clip(kind: &DataType) -> bool {
    let DataType::List(item) = kind else { return false };
    match item.data_type() {
        DataType::Struct(fields) => {
            fields.find("bytes").is_some_and(|(_, field)| is_bytes(field.data_type()))
        }
        item => is_bytes(item),
    }
}

fn is_image(kind: &DataType) -> bool {
    match kind {
        // Hugging Face's image type: either field may be null in a row, so either field may be absent.
        DataType::Struct(fields) => {
            let has = |name: &str, fits: fn(&DataType) -> bool| {
                fields.find(name).map(|(_, field)| fits(field.data_type()))
            };
            let (bytes, path) = (has("bytes", is_bytes), has("path", is_text));
            bytes != Some(false) && path != Some(false) && (bytes.is_some() || path.is_some())
        }
        kind => is_bytes(kind) || is_text(kind),
    }
}

#[cfg(test)]
mod tests;
