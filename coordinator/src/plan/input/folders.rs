//! Folders with images, for an input that has no other files.

use super::is_hidden;
use capfilt_schemas::plan::{InputFile, InputFormat};
use capfilt_store::{
    Location, StoreError,
    image_folder::{ImageFolder, ROOT},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use std::collections::BTreeSet;

/// Folders that are listed at the same time.
const LISTINGS_AT_ONCE: usize = 16;

/// Path of the folder of an image, with a final slash; `None` for other and for hidden objects.
pub(super) fn folder_of_image(prefix: &Path, location: &Path) -> Option<String> {
    location.filename().filter(|name| InputFormat::is_image(name))?;
    let parts: Vec<String> = location.prefix_match(prefix)?.map(|part| part.as_ref().to_owned()).collect();
    let (_, folders) = parts.split_last()?;
    let is_hidden = is_hidden(parts.iter().map(String::as_str));
    (!is_hidden).then(|| match folders {
        [] => ROOT.to_owned(),
        folders => format!("{}/", folders.join("/")),
    })
}

/// The folders as input files. The ETag of a folder is the digest of its listing.
pub(super) async fn list(input: &Location, folders: BTreeSet<String>) -> Result<Vec<InputFile>, StoreError> {
    let listed = stream::iter(folders).map(|path| async move {
        let ImageFolder { etag, bytes, .. } = ImageFolder::list(input, &path).await?;
        Ok(InputFile { path, etag, bytes })
    });
    listed.buffered(LISTINGS_AT_ONCE).try_collect().await
}
