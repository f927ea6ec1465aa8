//! Reads and writes objects below a location, with errors that name the objects.

use crate::{FaultKind, Location, StoreError};
use bytes::Bytes;
use capfilt_schemas::record::{self, Record};
use futures::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStore as _, ObjectStoreExt as _, PutPayload, path::Path};

impl Location {
    /// Reads a whole object.
    pub async fn read(&self, name: &str) -> Result<Bytes, StoreError> {
        let fail = |source| StoreError::store("read", self.url_of(name), source);
        self.store.get(&self.path_of(name)).await.map_err(fail)?.bytes().await.map_err(fail)
    }

    /// Reads a whole object; `None` if it is missing.
    pub async fn read_if_there(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        match self.read(name).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) if self.is_only_missing(name, &error).await => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether an object that the store refuses to show is missing.
    ///
    /// If the credentials may list a prefix but not the whole bucket, S3 and Google answer 403 both for a
    /// missing object and for a forbidden one. The listing distinguishes the two.
    async fn is_only_missing(&self, name: &str, error: &StoreError) -> bool {
        if error.kind() != Some(FaultKind::Forbidden) {
            return false;
        }
        let path = self.path_of(name);
        let folder = self.path_of(name.rsplit_once('/').map_or("", |(folder, _)| folder));
        // The name just before the object's.
        let mut before = path.to_string();
        before.pop();
        let mut after = self.store.list_with_offset(Some(&folder), &Path::from(before));
        loop {
            match after.try_next().await {
                Ok(Some(meta)) if meta.location < path => {}
                Ok(Some(meta)) => return meta.location != path,
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Reads a JSON record.
    pub async fn read_record<T: Record>(&self, name: &str) -> Result<T, StoreError> {
        self.parse_record(name, &self.read(name).await?)
    }

    /// Parses the bytes of the record `name`; errors name the object.
    pub fn parse_record<T: Record>(&self, name: &str, bytes: &[u8]) -> Result<T, StoreError> {
        record::parse(bytes).map_err(|source| StoreError::Record { object: self.url_of(name), source })
    }

    /// Writes an object whose name no other process writes, or whose content follows from its name.
    pub async fn write(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let payload = PutPayload::from_bytes(bytes);
        let put = self.store.put(&self.path_of(name), payload).await;
        put.map(drop).map_err(|source| StoreError::store("write", self.url_of(name), source))
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) -> Result<(), StoreError> {
        let deleted = self.store.delete(&self.path_of(name)).await;
        deleted.map_err(|source| StoreError::store("delete", self.url_of(name), source))
    }

    /// Lists the objects directly at the URL, not in folders below it.
    pub async fn list_here(&self) -> Result<Vec<(String, ObjectMeta)>, StoreError> {
        let listed = self.store.list_with_delimiter(Some(&self.prefix)).await;
        let listed = listed.map_err(|source| StoreError::store("list", self.url.clone(), source))?;
        Ok(listed.objects.into_iter().map(|meta| (self.name_of(&meta.location), meta)).collect())
    }

    /// Reads the state of an object; `None` if it is missing.
    pub async fn head(&self, name: &str) -> Result<Option<ObjectMeta>, StoreError> {
        match self.store.head(&self.path_of(name)).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => {
                let error = StoreError::store("read the metadata of", self.url_of(name), source);
                if self.is_only_missing(name, &error).await { Ok(None) } else { Err(error) }
            }
        }
    }

    pub(crate) fn name_of(&self, location: &Path) -> String {
        let parts = location.prefix_match(&self.prefix).into_iter().flatten();
        parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/")
    }
}
