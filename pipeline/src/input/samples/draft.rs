//! A sample whose values are known by name, and whose image is read or named.

use super::places::{Place, Places};
use crate::input::{ImageInput, TextInput, images::ImageCell};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Memory of a row in addition to its values: its records here, in the ledger, and between the stages.
pub(in crate::input) const ROW_BYTES: u64 = 1 << 10;

/// Bytes of a member with a JSON object that are read. A larger one counts as missing.
pub(in crate::input) const OBJECT_BYTES: u64 = 4 << 20;

/// Largest values that are read.
#[derive(Debug, Clone, Copy)]
pub(in crate::input) struct Limits {
    pub image_bytes: u64,
    pub text_bytes: u64,
}

/// A sample, or the place of damage.
#[derive(Debug, Default)]
pub(in crate::input) struct Draft {
    key: Vec<u8>,
    image: Option<(usize, ImageCell)>,
    /// Name of the image's member.
    member: Option<String>,
    values: Vec<(String, Bytes)>,
    objects: Vec<(String, Map<String, Value>)>,
    notes: Vec<String>,
    /// Bytes of the record, in the file.
    record_bytes: u64,
    /// Whether the row reports damage of the file.
    pub is_damage: bool,
}

/// Value of a column.
pub(in crate::input) enum Found<'a> {
    Nothing,
    Member(&'a Bytes),
    Field(&'a Value),
}

impl Draft {
    pub fn new(key: Vec<u8>) -> Self {
        Self { key, ..Self::default() }
    }

    /// A row that reports damage.
    pub fn damage(at: u64, why: &str) -> Self {
        let mut draft = Self { is_damage: true, ..Self::default() };
        draft.cannot_be_read(format!("the tar is damaged at byte {at} and ends here: {why}"));
        draft
    }

    /// The row of a record: its fields have the place of the keys of `.json`.
    pub fn of_record(fields: Map<String, Value>, record_bytes: u64) -> Self {
        Self { objects: vec![("json".to_owned(), fields)], record_bytes, ..Self::default() }
    }

    /// Gives the row an image that cannot be read.
    pub fn cannot_be_read(&mut self, why: String) {
        self.image = Some((0, ImageCell::Read(ImageInput::Unreadable(why))));
    }

    /// Gives a record its key.
    pub fn set_key(&mut self, key: String) {
        self.key = key.into_bytes();
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        let image = match &self.image {
            Some((_, ImageCell::Read(ImageInput::Bytes { bytes, .. }))) => bytes.len(),
            _ => 0,
        };
        // A parsed object is kept with its text.
        let values = self.values.iter().map(|(suffix, bytes)| 2 * bytes.len() + suffix.len());
        (image + values.sum::<usize>() + self.key.len()) as u64 + 2 * self.record_bytes
    }

    /// Keeps an image, unless one with a preferred suffix (a smaller number) is there. `member` is its name.
    pub fn keep_image(&mut self, at: usize, image: ImageCell, member: String) {
        if self.image.as_ref().is_none_or(|(kept, _)| at <= *kept) {
            self.member = Some(member);
            self.image = Some((at, image));
        }
    }

    /// Keeps the bytes of a member that is a text or a JSON object; of a text, `text_bytes`.
    pub fn keep_value(&mut self, suffix: &str, bytes: &[u8], places: &Places, text_bytes: u64) {
        let kept = Bytes::copy_from_slice(&bytes[..whole_characters(bytes, text_bytes)]);
        if places.is_object(suffix) {
            match serde_json::from_slice(bytes) {
                Ok(Value::Object(object)) => self.objects.push((suffix.to_owned(), object)),
                Ok(_) => self.note(format!("the member `{suffix}` is not a JSON object")),
                Err(error) => self.note(format!("the member `{suffix}` is not JSON: {error}")),
            }
        }
        self.values.push((suffix.to_owned(), kept));
    }

    /// Most bytes of a member that are read.
    pub fn most_bytes(suffix: &str, places: &Places, text_bytes: u64) -> u64 {
        if places.is_object(suffix) { OBJECT_BYTES } else { text_bytes + 4 }
    }

    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn notes(&self) -> Option<String> {
        (!self.notes.is_empty()).then(|| self.notes.join("; "))
    }

    /// The image. A sample without one may name it in `place`.
    pub fn image(&mut self, place: Option<&Place>) -> ImageCell {
        if let Some((_, image)) = &self.image {
            return image.clone();
        }
        let named = place.map_or(Ok(None), |place| self.string(place));
        match named {
            Ok(None) => ImageCell::Nothing,
            Ok(Some(name)) if name.is_empty() => ImageCell::Nothing,
            Ok(Some(name)) => ImageCell::Path(name),
            Err(_) => ImageCell::NoPath,
        }
    }

    /// Name of the image's member.
    pub fn member(&self) -> Option<String> {
        self.member.clone()
    }

    pub fn find(&self, place: &Place) -> Found<'_> {
        match place {
            Place::Key => Found::Nothing,
            Place::Field { suffix, key } => self.field(suffix, key),
            Place::Named(names) => {
                let found = names.iter().map(|name| self.member_or_field(name));
                found.into_iter().find(|found| !matches!(found, Found::Nothing)).unwrap_or(Found::Nothing)
            }
        }
    }

    fn member_or_field(&self, name: &str) -> Found<'_> {
        let value = self.value(&name.to_lowercase());
        value.map_or_else(|| self.field("json", name), Found::Member)
    }

    fn value(&self, suffix: &str) -> Option<&Bytes> {
        self.values.iter().find(|(found, _)| found == suffix).map(|(_, bytes)| bytes)
    }

    fn field(&self, suffix: &str, key: &str) -> Found<'_> {
        let object = self.objects.iter().find(|(found, _)| found == suffix);
        match object.and_then(|(_, object)| object.get(key)) {
            None | Some(Value::Null) => Found::Nothing,
            Some(value) => Found::Field(value),
        }
    }

    /// Text of a column; the error names a value that is not UTF-8.
    pub fn string(&self, place: &Place) -> Result<Option<String>, String> {
        if *place == Place::Key {
            let key =
                std::str::from_utf8(&self.key).map_err(|_| "the sample's name is not UTF-8".to_owned())?;
            return Ok((!self.is_damage && !key.is_empty()).then(|| key.to_owned()));
        }
        match self.find(place) {
            Found::Nothing => Ok(None),
            Found::Field(value) => Ok(Some(text_of(value))),
            Found::Member(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err("is not UTF-8 and counts as null".to_owned()),
            },
        }
    }

    /// Texts of a column. Of a list in a JSON object, `most` are taken, and one more entry means that there
    /// are further ones.
    pub fn texts(&self, place: &Place, most: usize) -> Vec<TextInput> {
        match self.find(place) {
            Found::Nothing => vec![TextInput::Missing],
            Found::Field(Value::Array(items)) if items.is_empty() => vec![TextInput::Missing],
            Found::Field(Value::Array(items)) => {
                let item = |item: &Value| match item {
                    Value::Null => TextInput::Missing,
                    item => TextInput::Text(text_of(item)),
                };
                let more = (items.len() > most).then_some(TextInput::TooMany);
                items.iter().take(most).map(item).chain(more).collect()
            }
            Found::Field(value) => vec![TextInput::Text(text_of(value))],
            Found::Member(bytes) => vec![match std::str::from_utf8(bytes) {
                Ok(text) => TextInput::Text(text.to_owned()),
                Err(_) => TextInput::NotUtf8(bytes.clone()),
            }],
        }
    }
}

/// A string as it is, any other value as JSON.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Length of the first `most` bytes and up to three more, to the end of a character.
fn whole_characters(bytes: &[u8], most: u64) -> usize {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let is_inside = |at: &usize| bytes.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    if bytes.len() <= most {
        return bytes.len();
    }
    (most..most + 4).find(|at| !is_inside(at)).unwrap_or(most).min(bytes.len())
}
