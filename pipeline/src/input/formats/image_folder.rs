//! Samples of a folder of images: an image, and the files beside it.

use crate::input::{
    ReadError,
    images::ImageCell,
    samples::{
        draft::{Draft, Limits, OBJECT_BYTES},
        places::{Places, Role},
    },
};
use capfilt_schemas::plan::{InputFile, Shard};
use capfilt_store::{
    Location, PinnedObject, StoreError,
    image_folder::{ImageFile, ImageFolder},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use std::{sync::Arc, vec};

/// Samples whose texts are read at the same time.
const READS_AT_ONCE: usize = 16;

/// Bytes of the texts of the samples that are returned at once, unless a single sample has more.
const TEXTS_BYTES: u64 = 64 << 20;

/// The samples of a shard of a folder.
///
/// Memory: the listing of the folder, about 300 bytes per file, and the texts of the returned samples.
pub(in crate::input) struct FolderSamples {
    input: Location,
    shard: Shard,
    places: Arc<Places>,
    limits: Limits,
    /// The images that are left; `None` before the folder is listed.
    left: Option<vec::IntoIter<ImageFile>>,
}

impl FolderSamples {
    /// Nothing is read.
    pub fn open(input: &Location, shard: &Shard, places: Arc<Places>, limits: Limits) -> Self {
        Self { input: input.clone(), shard: shard.clone(), places, limits, left: None }
    }

    /// The next samples, at most `most`; none after the last. The images are read by the caller.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Draft>, ReadError> {
        let file = &self.shard.file;
        let fail = |source| ReadError::Store { file: file.path.clone(), source: Box::new(source) };
        let mut left = match self.left.take() {
            Some(left) => left,
            None => self.list().await.map_err(fail)?,
        };
        let (mut images, mut bytes) = (Vec::new(), 0);
        while images.len() < most && bytes < TEXTS_BYTES {
            let Some(image) = left.next() else { break };
            bytes += image.beside.iter().map(|(_, file)| file.bytes.min(OBJECT_BYTES)).sum::<u64>();
            images.push(image);
        }
        self.left = Some(left);
        let drafts = stream::iter(images).map(|image| self.draft(image)).buffered(READS_AT_ONCE);
        drafts.try_collect().await.map_err(fail)
    }

    async fn list(&self) -> Result<vec::IntoIter<ImageFile>, StoreError> {
        let mut images = ImageFolder::planned(&self.input, &self.shard.file).await?.images;
        let range = self.shard.part.range();
        images.truncate(usize::try_from(range.end).unwrap_or(usize::MAX));
        let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(images.len());
        Ok(images.split_off(start).into_iter())
    }

    async fn draft(&self, image: ImageFile) -> Result<Draft, StoreError> {
        let mut draft = Draft::new(image.key().as_bytes().to_vec());
        for (suffix, file) in &image.beside {
            if self.places.role(suffix) == Role::Value {
                self.read_value(&mut draft, suffix, file).await?;
            }
        }
        let member = image.name().to_owned();
        draft.keep_image(0, ImageCell::Object(image.image), member);
        Ok(draft)
    }

    async fn read_value(&self, draft: &mut Draft, suffix: &str, file: &InputFile) -> Result<(), StoreError> {
        if self.places.is_object(suffix) && file.bytes > OBJECT_BYTES {
            draft.note(format!("{} is larger than 4 MiB and counts as missing", file.path));
            return Ok(());
        }
        let most = Draft::most_bytes(suffix, &self.places, self.limits.text_bytes).min(file.bytes);
        if most > 0 {
            let bytes = PinnedObject::new(&self.input, file).range(0..most).await?;
            draft.keep_value(suffix, &bytes, &self.places, self.limits.text_bytes);
        }
        Ok(())
    }
}
