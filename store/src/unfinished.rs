//! Multipart uploads that no process finished.

use crate::{
    Location, StoreError,
    uploads::{Begun, Unfinished},
};
use object_store::{Error, multipart::MultipartStore as _, path::Path};

impl Location {
    /// Lists the unfinished uploads below this URL; `None` if the store's protocol has no such request.
    ///
    /// # Errors
    /// A refused listing: some S3-compatible stores lack the request.
    pub async fn unfinished_uploads(&self) -> std::result::Result<Option<Vec<Unfinished>>, StoreError> {
        let Some(uploads) = &self.uploads else { return Ok(None) };
        let fail = |source| StoreError::store("list unfinished uploads to", &self.url, source);
        let begun = uploads.list(&self.prefix).await.map_err(fail)?;
        let named = begun.into_iter().filter_map(|Begun { key, upload_id }| {
            let path = Path::parse(&key).ok()?;
            path.prefix_matches(&self.prefix).then(|| Unfinished { name: self.name_of(&path), id: upload_id })
        });
        Ok(Some(named.collect()))
    }

    /// Aborts an unfinished upload: the store deletes its parts.
    ///
    /// # Errors
    /// A refusal of the store. An upload that does not exist is not an error.
    pub async fn abort_upload(&self, upload: &Unfinished) -> std::result::Result<(), StoreError> {
        let Some(uploads) = &self.uploads else { return Ok(()) };
        let path = self.path_of(&upload.name);
        match uploads.store.abort_multipart(&path, &upload.id).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(StoreError::store("abort the upload of", self.url_of(&upload.name), source)),
        }
    }
}
