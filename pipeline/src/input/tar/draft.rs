//! A sample whose members are being read.

use super::places::{Place, Places, Role};
use crate::input::{ImageInput, Origin, TextInput};
use bytes::Bytes;
use capfilt_store::{
    StoreError,
    tar::{Member, TarStream},
};
use serde_json::{Map, Value};

/// Bytes of a member with a JSON object that are read. A larger one counts as missing.
const OBJECT_BYTES: u64 = 4 << 20;

/// Members of a sample that are kept besides the image. A tar can have any number of members in a sample.
const MEMBERS: usize = 256;

/// Largest members that are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub image_bytes: u64,
    pub text_bytes: u64,
}

/// A sample, or the place of damage.
#[derive(Debug, Default)]
pub(super) struct Draft {
    key: Vec<u8>,
    image: Option<(usize, ImageInput)>,
    /// Name of the image's member.
    member: Option<String>,
    seen: Vec<String>,
    values: Vec<(String, Bytes)>,
    objects: Vec<(String, Map<String, Value>)>,
    notes: Vec<String>,
    /// Whether the row reports damage of the tar.
    pub is_damage: bool,
}

/// Value of a column.
pub(super) enum Found<'a> {
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
        let why = format!("the tar is damaged at byte {at} and ends here: {why}");
        Self { image: Some((0, ImageInput::Unreadable(why))), is_damage: true, ..Self::default() }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        let image = match &self.image {
            Some((_, ImageInput::Bytes { bytes, .. })) => bytes.len(),
            _ => 0,
        };
        // A parsed object is kept with its text.
        let values = self.values.iter().map(|(suffix, bytes)| 2 * bytes.len() + suffix.len());
        (image + values.sum::<usize>() + self.key.len()) as u64
    }

    /// Reads a member, if the job uses it.
    pub async fn add(
        &mut self,
        member: &Member,
        stream: &mut TarStream,
        places: &Places,
        limits: Limits,
    ) -> Result<(), StoreError> {
        let role = places.role(&member.suffix);
        if role == Role::Unused || self.seen.len() >= MEMBERS {
            return Ok(());
        }
        let is_doubled = self.seen.contains(&member.suffix);
        self.seen.push(member.suffix.clone());
        match role {
            Role::Image(at) if is_doubled => {
                let why = format!("the sample has two members with the suffix `{}`", member.suffix);
                self.keep_image(at, ImageInput::Unreadable(why), member);
            }
            _ if is_doubled => {
                self.note(format!("the sample has several members `{}`; the first counts", member.suffix));
            }
            Role::Image(at) => {
                let image = read_image(member, stream, limits.image_bytes).await?;
                self.keep_image(at, image, member);
            }
            Role::Value | Role::Unused => self.keep_value(member, stream, places, limits.text_bytes).await?,
        }
        Ok(())
    }

    /// Keeps the image whose suffix is preferred.
    fn keep_image(&mut self, at: usize, image: ImageInput, member: &Member) {
        if self.image.as_ref().is_none_or(|(kept, _)| at <= *kept) {
            self.member = Some(member.path());
            self.image = Some((at, image));
        }
    }

    async fn keep_value(
        &mut self,
        member: &Member,
        stream: &mut TarStream,
        places: &Places,
        text_bytes: u64,
    ) -> Result<(), StoreError> {
        let suffix = &member.suffix;
        let is_object = places.is_object(suffix);
        if member.is_sparse || is_object && member.bytes > OBJECT_BYTES {
            let why = if member.is_sparse { "is a sparse file" } else { "is larger than 4 MiB" };
            self.note(format!("the member `{suffix}` {why} and counts as missing"));
            return Ok(());
        }
        let most = if is_object { OBJECT_BYTES } else { text_bytes + 4 };
        let bytes = stream.read(most).await?;
        if (bytes.len() as u64) < member.bytes.min(most) {
            self.note(format!("the tar ends within the member `{suffix}`, which counts as missing"));
            return Ok(());
        }
        let kept = Bytes::copy_from_slice(&bytes[..whole_characters(&bytes, text_bytes)]);
        if is_object {
            match serde_json::from_slice(&bytes) {
                Ok(Value::Object(object)) => self.objects.push((suffix.clone(), object)),
                Ok(_) => self.note(format!("the member `{suffix}` is not a JSON object")),
                Err(error) => self.note(format!("the member `{suffix}` is not JSON: {error}")),
            }
        }
        self.values.push((suffix.clone(), kept));
        Ok(())
    }

    pub fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub fn notes(&self) -> Option<String> {
        (!self.notes.is_empty()).then(|| self.notes.join("; "))
    }

    /// The image, and the path of its member.
    pub fn take_image(&mut self) -> (ImageInput, Option<String>) {
        let image = self.image.take().map_or(ImageInput::Missing, |(_, image)| image);
        (image, self.member.take())
    }

    pub fn find(&self, place: &Place) -> Found<'_> {
        match place {
            Place::Key => Found::Nothing,
            Place::Field { suffix, key } => self.field(suffix, key),
            Place::Named(name) => self.member_or_field(name),
            Place::Caption => match self.member_or_field("caption") {
                Found::Nothing => self.value("txt").map_or(Found::Nothing, Found::Member),
                found => found,
            },
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
            return Ok((!self.is_damage).then(|| key.to_owned()));
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

async fn read_image(
    member: &Member,
    stream: &mut TarStream,
    image_bytes: u64,
) -> Result<ImageInput, StoreError> {
    let name = member.path();
    if member.is_sparse {
        return Ok(ImageInput::Unreadable(format!("the member {name} is a sparse file")));
    }
    if member.bytes > image_bytes {
        let bytes = member.bytes;
        let why = format!("it has {bytes} bytes; limits.image_bytes is {image_bytes}");
        return Ok(ImageInput::TooLarge(why));
    }
    let read = stream.read(member.bytes).await?;
    if (read.len() as u64) < member.bytes {
        return Ok(ImageInput::Unreadable(format!("the tar ends within the member {name}")));
    }
    // A copy, so that a row does not hold a whole piece of the tar in memory.
    let bytes = Bytes::copy_from_slice(&read);
    Ok(match bytes.is_empty() {
        true => ImageInput::Missing,
        false => ImageInput::Bytes { bytes, origin: Origin::Row { path: Some(name) } },
    })
}
