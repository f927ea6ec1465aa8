//! Empty objects that stand for a folder and do not look like it.
//!
//! Names that end with a slash are told by the listing alone. Hadoop's drivers for Azure leave blobs of the
//! folder's very name, which say in their metadata what they are; other tools leave such objects without
//! saying anything.

use crate::Place;
use futures::StreamExt as _;
use object_store::{Attribute, GetOptions, ObjectStore as _, path::Path};

/// Under this name, Azure's tools write `true` into the metadata of a blob that stands for a folder.
const IS_FOLDER: &str = "hdi_isfolder";

impl Place {
    /// Whether an empty object stands for a folder: it says so, or there are objects below its name. When the
    /// store refuses to tell, it is an object like others.
    pub async fn is_folder_marker(&self, empty: &Path) -> bool {
        if self.local_path().is_some() {
            return false;
        }
        let below = self.store.list(Some(empty)).next().await;
        if below.is_some_and(|first| first.is_ok()) {
            return true;
        }
        let head = GetOptions { head: true, ..GetOptions::default() };
        let said = self.store.get_opts(empty, head).await;
        let said =
            said.ok().and_then(|found| found.attributes.get(&Attribute::Metadata(IS_FOLDER.into())).cloned());
        said.is_some_and(|said| said.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{Attributes, PutOptions, PutPayload, memory::InMemory};
    use std::sync::Arc;

    #[tokio::test]
    async fn an_empty_object_is_a_folder_when_it_says_so_or_has_objects_below_it() {
        let place = Place::over(Arc::new(InMemory::new()), "memory://", Path::default());
        let attributes = Attributes::from_iter([(Attribute::Metadata(IS_FOLDER.into()), "True")]);
        for (name, attributes) in [
            ("said", attributes),
            ("full", Attributes::new()),
            ("full/x", Attributes::new()),
            ("empty", Attributes::new()),
        ] {
            let options = PutOptions { attributes, ..PutOptions::default() };
            place.store.put_opts(&Path::from(name), PutPayload::new(), options).await.unwrap();
        }
        for (name, is_folder) in
            [("said", true), ("full", true), ("full/x", false), ("empty", false), ("gone", false)]
        {
            assert_eq!(place.is_folder_marker(&Path::from(name)).await, is_folder, "{name}");
        }
    }
}
