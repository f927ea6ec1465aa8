//! Detects empty objects that are folder markers without an obvious name.
//!
//! A name that ends with a slash is obvious from the listing. Hadoop's drivers for Azure write a blob with
//! the folder's own name and mark it in its metadata; other tools write such objects without a mark.

use crate::Location;
use futures::StreamExt as _;
use object_store::{Attribute, GetOptions, ObjectStore as _, path::Path};

/// Metadata key under which Azure's tools write `true` for a blob that is a folder marker.
const IS_FOLDER: &str = "hdi_isfolder";

impl Location {
    /// Whether an empty object is a folder marker: its metadata has the mark, or objects exist below its
    /// name. If the store refuses the requests, the object counts as a file.
    pub async fn is_folder_marker(&self, empty: &Path) -> bool {
        if self.local_path().is_some() {
            return false;
        }
        let below = self.store.list(Some(empty)).next().await;
        if below.is_some_and(|first| first.is_ok()) {
            return true;
        }
        let options = GetOptions { head: true, ..GetOptions::default() };
        let head = self.store.get_opts(empty, options).await;
        let mark =
            head.ok().and_then(|found| found.attributes.get(&Attribute::Metadata(IS_FOLDER.into())).cloned());
        mark.is_some_and(|mark| mark.eq_ignore_ascii_case("true"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::{Attributes, PutOptions, PutPayload, memory::InMemory};
    use std::sync::Arc;

    #[tokio::test]
    async fn an_empty_object_is_a_folder_when_it_is_marked_or_has_objects_below_it() {
        let place = Location::over(Arc::new(InMemory::new()), "memory://", Path::default());
        let attributes = Attributes::from_iter([(Attribute::Metadata(IS_FOLDER.into()), "True")]);
        for (name, attributes) in [
            ("marked", attributes),
            ("full", Attributes::new()),
            ("full/x", Attributes::new()),
            ("empty", Attributes::new()),
        ] {
            let options = PutOptions { attributes, ..PutOptions::default() };
            place.store.put_opts(&Path::from(name), PutPayload::new(), options).await.unwrap();
        }
        for (name, is_folder) in
            [("marked", true), ("full", true), ("full/x", false), ("empty", false), ("gone", false)]
        {
            assert_eq!(place.is_folder_marker(&Path::from(name)).await, is_folder, "{name}");
        }
    }
}
