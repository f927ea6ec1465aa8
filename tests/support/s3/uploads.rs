//! Multipart uploads that are in progress, or that are never finished.

use s3s::dto::{ListMultipartUploadsInput, ListMultipartUploadsOutput, MultipartUpload};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

/// Keys by the uploads' ids.
#[derive(Debug, Clone, Default)]
pub struct Uploads(Arc<Mutex<BTreeMap<String, String>>>);

impl Uploads {
    /// An upload that was begun and is never finished.
    pub fn abandon(&self, key: &str) {
        self.begin(format!("abandoned-{}", key.len()), key);
    }

    pub fn keys(&self) -> Vec<String> {
        self.0.lock().unwrap().values().cloned().collect()
    }

    pub(super) fn begin(&self, id: String, key: &str) {
        self.0.lock().unwrap().insert(id, key.to_owned());
    }

    pub(super) fn end(&self, id: &str) {
        self.0.lock().unwrap().remove(id);
    }

    /// A page with one upload, so that a client must ask for more.
    pub(super) fn list(&self, asked: &ListMultipartUploadsInput) -> ListMultipartUploadsOutput {
        let (prefix, after) =
            (asked.prefix.as_deref().unwrap_or(""), asked.upload_id_marker.as_deref().unwrap_or(""));
        let uploads = self.0.lock().unwrap();
        let mut rest = uploads.iter().filter(|(id, key)| key.starts_with(prefix) && id.as_str() > after);
        let first = rest.next();
        ListMultipartUploadsOutput {
            is_truncated: Some(rest.next().is_some()),
            next_key_marker: first.map(|(_, key)| key.clone()),
            next_upload_id_marker: first.map(|(id, _)| id.clone()),
            uploads: Some(first.iter().map(|(id, key)| upload(id, key)).collect()),
            ..ListMultipartUploadsOutput::default()
        }
    }
}

fn upload(id: &str, key: &str) -> MultipartUpload {
    MultipartUpload {
        key: Some(key.to_owned()),
        upload_id: Some(id.to_owned()),
        ..MultipartUpload::default()
    }
}
