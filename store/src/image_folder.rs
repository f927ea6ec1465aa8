//! Folders of images with files beside them: `a.jpg` with its texts in `a.txt`.
//!
//! A folder is planned and read by the same listing. The digest of the listing pins the folder's state.

use crate::{Location, StoreError, without_secrets};
use capfilt_schemas::plan::{InputFile, InputFormat};
use object_store::ObjectMeta;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// Path of the folder that the input's URL itself names.
pub const ROOT: &str = "./";

/// One listing of a folder, without the folders in it.
///
/// Memory: about 300 bytes per file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFolder {
    /// The images, sorted by name.
    pub images: Vec<ImageFile>,
    /// Digest of names, sizes and ETags.
    pub etag: String,
    /// Bytes of all images and the files beside them.
    pub bytes: u64,
}

/// An image with the files that have its name up to the last dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// The image; its path is below the input's URL.
    pub image: InputFile,
    /// Suffixes in lower case, and the files.
    pub beside: Vec<(String, InputFile)>,
}

impl ImageFile {
    /// Path below the input's URL, without the suffix.
    pub fn key(&self) -> &str {
        self.image.path.rsplit_once('.').map_or(&self.image.path, |(stem, _)| stem)
    }

    /// Name of the image in its folder.
    pub fn name(&self) -> &str {
        self.image.path.rsplit('/').next().unwrap_or(&self.image.path)
    }

    /// Bytes of the image and the files beside it.
    pub fn bytes(&self) -> u64 {
        self.image.bytes + self.beside.iter().map(|(_, file)| file.bytes).sum::<u64>()
    }
}

impl ImageFolder {
    /// Lists a folder of the input; its path ends with a slash and is [`ROOT`] for the input's own folder.
    /// Hidden files (`.x`, `_x`) do not belong to it.
    ///
    /// # Errors
    /// A refused or failing listing.
    pub async fn list(input: &Location, folder: &str) -> Result<Self, StoreError> {
        let below = if folder == ROOT { "" } else { folder };
        let prefix = input.path_of(below);
        let listed = input.store.list_with_delimiter(Some(&prefix)).await;
        let url = || without_secrets(&input.url_of(below));
        let listed = listed.map_err(|source| StoreError::Store { what: "list", object: url(), source })?;
        Ok(Self::of(below, listed.objects))
    }

    /// Lists a folder of a plan.
    ///
    /// # Errors
    /// As [`ImageFolder::list`]; another state than the planned one is [`StoreError::is_changed`].
    pub async fn planned(input: &Location, folder: &InputFile) -> Result<Self, StoreError> {
        let listed = Self::list(input, &folder.path).await?;
        if listed.etag == folder.etag {
            return Ok(listed);
        }
        let why = "files were added, removed or replaced since the plan";
        let path = input.path_of(&folder.path).to_string();
        let source = object_store::Error::Precondition { path, source: why.into() };
        let object = without_secrets(&input.url_of(&folder.path));
        Err(StoreError::Store { what: "list", object, source })
    }

    fn of(below: &str, objects: Vec<ObjectMeta>) -> Self {
        let file = |meta: ObjectMeta| {
            let name = meta.location.filename().filter(|name| !name.starts_with(['.', '_']))?;
            let (path, etag) = (format!("{below}{name}"), meta.e_tag.unwrap_or_default());
            Some(InputFile { path, etag, bytes: meta.size })
        };
        let mut files: Vec<InputFile> = objects.into_iter().filter_map(file).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let (images, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| InputFormat::is_image(&file.path));
        let mut beside: HashMap<String, Vec<(String, InputFile)>> = HashMap::new();
        for other in others {
            if let Some((stem, suffix)) = other.path.rsplit_once('.') {
                let suffix = suffix.to_lowercase();
                beside.entry(stem.to_owned()).or_default().push((suffix, other));
            }
        }
        let with_others = |image: InputFile| {
            let stem = image.path.rsplit_once('.').map_or("", |(stem, _)| stem);
            ImageFile { beside: beside.get(stem).cloned().unwrap_or_default(), image }
        };
        let images: Vec<ImageFile> = images.into_iter().map(with_others).collect();
        Self { etag: digest(&images), bytes: images.iter().map(ImageFile::bytes).sum(), images }
    }
}

/// Digest of the images and the files beside them. It has no line for the other files of the folder.
fn digest(images: &[ImageFile]) -> String {
    let mut hash = Sha256::new();
    for file in
        images.iter().flat_map(|image| image.beside.iter().map(|(_, file)| file).chain([&image.image]))
    {
        hash.update(format!("{}\0{}\0{}\n", file.path, file.bytes, file.etag));
    }
    hex::encode(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::path::Path;

    fn listing(names: &[(&str, u64)]) -> Vec<ObjectMeta> {
        let meta = |(name, size): &(&str, u64)| ObjectMeta {
            location: Path::from(format!("web/in/{name}")),
            last_modified: Default::default(),
            size: *size,
            e_tag: Some("1".to_owned()),
            version: None,
        };
        names.iter().map(meta).collect()
    }

    #[test]
    fn an_image_has_the_files_with_its_name_whatever_the_order_of_the_listing() {
        let names = [("b.txt", 2), ("a.JPG", 5), ("_x.jpg", 1), ("b.png", 7), ("a.v1.txt", 3), ("notes", 9)];
        let folder = ImageFolder::of("in/", listing(&names));
        let of = |image: &ImageFile| {
            let beside = image.beside.iter().map(|(suffix, file)| format!("{suffix} {}", file.path));
            (image.key().to_owned(), image.name().to_owned(), beside.collect::<Vec<_>>())
        };
        let images: Vec<_> = folder.images.iter().map(of).collect();
        let is = |key: &str, name: &str, beside: &[&str]| {
            (key.to_owned(), name.to_owned(), beside.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(images, [is("in/a", "a.JPG", &[]), is("in/b", "b.png", &["txt in/b.txt"])]);
        assert_eq!(folder.bytes, 5 + 7 + 2);
        let mut reversed = names;
        reversed.reverse();
        assert_eq!(ImageFolder::of("in/", listing(&reversed)), folder);
        let mut other = names;
        other[0].1 = 3;
        assert_ne!(ImageFolder::of("in/", listing(&other)).etag, folder.etag, "a text changed");
    }
}
