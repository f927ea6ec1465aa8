//! Files of a brace pattern.

use super::{Found, pinned};
use crate::plan::PlanError;
use capfilt_schemas::plan::{InputFile, RefusedFile};
use capfilt_store::{Braces, FaultKind, Location, StoreError};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;

/// Requests at the same time.
const HEADS_AT_ONCE: usize = 32;

/// State of each file of a pattern. A missing file is refused, because its rows are missing.
pub(super) async fn find(input: &Location, braces: &Braces) -> Result<Found, PlanError> {
    let heads = stream::iter(&braces.names).map(|name| head(input, name)).buffered(HEADS_AT_ONCE);
    let mut found = Found::default();
    for one in heads.try_collect::<Vec<_>>().await? {
        match one {
            Ok(file) => found.files.push(file),
            Err(refused) => found.refused.push(refused),
        }
    }
    if found.files.is_empty() {
        // The pattern is more likely wrong than every file.
        found.refused.clear();
    }
    Ok(found)
}

async fn head(input: &Location, name: &str) -> Result<Result<InputFile, RefusedFile>, PlanError> {
    let refused =
        |reason: String| RefusedFile { path: name.to_owned(), etag: String::new(), bytes: 0, reason };
    match input.store.head(&input.path_of(name)).await {
        Ok(meta) => Ok(Ok(pinned(name.to_owned(), meta))),
        Err(error) => match FaultKind::of(&error) {
            FaultKind::NotThere => Ok(Err(refused("input.url names it, and it is not there".to_owned()))),
            FaultKind::Name | FaultKind::Archived => Ok(Err(refused(error.to_string()))),
            _ => {
                let (what, object) = ("read the metadata of", input.url_of(name));
                Err(StoreError::Store { what, object, source: error }.into())
            }
        },
    }
}
