//! Objects that no folder can hold: names with `//`, with `.` parts or control characters, a folder's marker,
//! an object beside a prefix of its name. They are listed and read like all other objects.

use s3s::dto::{ETag, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object, Timestamp};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::UNIX_EPOCH,
};

/// Lengths by key.
#[derive(Debug, Clone, Default)]
pub struct OddObjects(Arc<Mutex<BTreeMap<String, i64>>>);

impl OddObjects {
    pub fn put(&self, key: &str, bytes: i64) {
        self.0.lock().unwrap().insert(key.to_owned(), bytes);
    }

    pub(super) fn head(&self, key: &str) -> Option<HeadObjectOutput> {
        let bytes = *self.0.lock().unwrap().get(key)?;
        Some(HeadObjectOutput {
            content_length: Some(bytes),
            e_tag: Some(e_tag(key)),
            last_modified: Some(Timestamp::from(UNIX_EPOCH)),
            ..HeadObjectOutput::default()
        })
    }

    /// Adds what a listing of the whole prefix should tell.
    pub(super) fn add(&self, asked: &ListObjectsV2Input, listed: &mut ListObjectsV2Output) {
        let is_first_page = asked.continuation_token.is_none();
        if asked.delimiter.is_some() || !is_first_page {
            return;
        }
        let (prefix, after) =
            (asked.prefix.as_deref().unwrap_or(""), asked.start_after.as_deref().unwrap_or(""));
        let odd = self.0.lock().unwrap();
        let added = odd.iter().filter(|(key, _)| key.starts_with(prefix) && key.as_str() > after);
        let objects = listed.contents.get_or_insert_default();
        objects.extend(added.map(|(key, bytes)| Object {
            key: Some(key.clone()),
            size: Some(*bytes),
            e_tag: Some(e_tag(key)),
            last_modified: Some(Timestamp::from(UNIX_EPOCH)),
            ..Object::default()
        }));
        objects.sort_by(|a, b| a.key.cmp(&b.key));
    }
}

fn e_tag(key: &str) -> ETag {
    ETag::Strong(format!("odd-{}", key.len()))
}
