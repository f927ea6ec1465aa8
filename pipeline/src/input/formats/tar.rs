//! Samples of a WebDataset tar.

use crate::input::{
    ImageInput, Origin, ReadError,
    images::ImageCell,
    samples::{
        draft::{Draft, Limits, OBJECT_BYTES, ROW_BYTES},
        places::{Places, Role},
    },
};
use bytes::Bytes;
use capfilt_schemas::plan::{InputFormat, Shard};
use capfilt_store::{
    Location, PinnedObject, StoreError,
    tar::{Member, TarItem, TarStream},
};
use std::sync::Arc;

/// Bytes of the tar that are read at once; as many are read ahead.
const PIECE_BYTES: u64 = 4 << 20;

/// Bytes of the samples that are returned at once, unless a single sample is larger.
const SAMPLES_BYTES: u64 = 64 << 20;

/// Members of a sample that are kept besides the image. A tar can have any number of members in a sample.
const MEMBERS: usize = 256;

/// The samples of a shard of a tar.
///
/// Memory: two pieces of the tar, and the returned samples.
pub(in crate::input) struct TarSamples {
    stream: TarStream,
    places: Arc<Places>,
    limits: Limits,
    file: String,
    /// The sample whose members are being read, and their suffixes.
    open: Option<(Draft, Vec<String>)>,
    /// The row that follows the open sample.
    damage: Option<Draft>,
}

impl TarSamples {
    /// Opens the shard's tar; nothing is read.
    pub fn open(input: &Location, shard: &Shard, places: Arc<Places>, limits: Limits) -> Self {
        let object = PinnedObject::new(input, &shard.file);
        let stream = match InputFormat::of(&shard.file.path) {
            InputFormat::TarGz => TarStream::of_gzip(object, PIECE_BYTES),
            _ => TarStream::of_object(object, shard.part.range(), PIECE_BYTES),
        };
        Self { stream, places, limits, file: shard.file.path.clone(), open: None, damage: None }
    }

    /// The next samples; none after the last.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Draft>, ReadError> {
        let (mut drafts, mut bytes) = (Vec::new(), 0);
        while drafts.len() < most && bytes < SAMPLES_BYTES {
            let Some(draft) = self.next_one().await? else { break };
            bytes += draft.bytes() + ROW_BYTES;
            drafts.push(draft);
        }
        Ok(drafts)
    }

    async fn next_one(&mut self) -> Result<Option<Draft>, ReadError> {
        let file = self.file.clone();
        let store = |source| ReadError::Store { file: file.clone(), source: Box::new(source) };
        while let Some(item) = self.stream.next().await.map_err(store)? {
            match item {
                TarItem::Member(member) => {
                    let done = if member.is_first { self.open.take() } else { None };
                    self.add(&member).await.map_err(store)?;
                    if let Some((done, _)) = done {
                        return Ok(Some(done));
                    }
                }
                // Without a sample before it, the file is not a tar.
                TarItem::Damage { why, .. } if self.open.is_none() => {
                    return Err(ReadError::Format { file, format: "a tar", why });
                }
                TarItem::Damage { at, why } => self.damage = Some(Draft::damage(at, &why)),
            }
        }
        Ok(self.open.take().map(|(draft, _)| draft).or_else(|| self.damage.take()))
    }

    /// Adds a member to its sample, if the job uses it.
    async fn add(&mut self, member: &Member) -> Result<(), StoreError> {
        let (draft, seen) = self.open.get_or_insert_with(|| (Draft::new(member.key.clone()), Vec::new()));
        let role = self.places.role(&member.suffix);
        if role == Role::Unused || seen.len() >= MEMBERS {
            return Ok(());
        }
        let is_doubled = seen.contains(&member.suffix);
        seen.push(member.suffix.clone());
        let (stream, places, limits) = (&mut self.stream, &self.places, self.limits);
        match role {
            Role::Image(at) if is_doubled => {
                let why = format!("the sample has two members with the suffix `{}`", member.suffix);
                draft.keep_image(at, ImageCell::Read(ImageInput::Unreadable(why)), member.path());
            }
            _ if is_doubled => {
                draft.note(format!("the sample has several members `{}`; the first counts", member.suffix));
            }
            Role::Image(at) => {
                let image = read_image(member, stream, limits.image_bytes).await?;
                draft.keep_image(at, ImageCell::Read(image), member.path());
            }
            Role::Value | Role::Unused => {
                read_value(member, stream, draft, places, limits.text_bytes).await?
            }
        }
        Ok(())
    }
}

async fn read_value(
    member: &Member,
    stream: &mut TarStream,
    draft: &mut Draft,
    places: &Places,
    text_bytes: u64,
) -> Result<(), StoreError> {
    let suffix = &member.suffix;
    if member.is_sparse || places.is_object(suffix) && member.bytes > OBJECT_BYTES {
        let why = if member.is_sparse { "is a sparse file" } else { "is larger than 4 MiB" };
        draft.note(format!("the member `{suffix}` {why} and counts as missing"));
        return Ok(());
    }
    let most = Draft::most_bytes(suffix, places, text_bytes);
    let bytes = stream.read(most).await?;
    if (bytes.len() as u64) < member.bytes.min(most) {
        draft.note(format!("the tar ends within the member `{suffix}`, which counts as missing"));
        return Ok(());
    }
    draft.keep_value(suffix, &bytes, places, text_bytes);
    Ok(())
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
