//! Multipart uploads that were started and neither completed nor aborted. Killed processes leave them; no
//! listing of objects shows them, and they cost as much as objects.
//!
//! Only S3's protocol is implemented, because object_store has no call for the request. Google has lifecycle
//! rules for such uploads, and Azure deletes them automatically.

use object_store::{
    Error, Result,
    aws::{AmazonS3, AwsAuthorizer},
    client::{HttpClient, HttpRequest, HttpRequestBody},
    path::Path,
    signer::Signer as _,
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use url::Url;

/// An unfinished upload below the listed URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// Name that the object would have.
    pub name: String,
    pub(crate) id: String,
}

/// Lists the unfinished uploads of one bucket.
#[derive(Debug)]
pub(crate) struct Uploads {
    pub store: Arc<AmazonS3>,
    pub client: HttpClient,
    pub region: String,
}

/// One page of the answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    #[serde(rename = "Upload")]
    uploads: Vec<Begun>,
    is_truncated: bool,
    next_key_marker: Option<String>,
    next_upload_id_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Begun {
    pub key: String,
    pub upload_id: String,
}

impl Uploads {
    pub(crate) async fn list(&self, prefix: &Path) -> Result<Vec<Begun>> {
        let mut all = Vec::new();
        let mut markers = None;
        loop {
            let page = self.page(prefix, markers.take()).await?;
            all.extend(page.uploads);
            markers = match (page.is_truncated, page.next_key_marker, page.next_upload_id_marker) {
                (true, Some(key), Some(id)) => Some((key, id)),
                _ => return Ok(all),
            };
        }
    }

    async fn page(&self, prefix: &Path, markers: Option<(String, String)>) -> Result<Page> {
        let mut url = self.endpoint().await?;
        {
            let mut query = url.query_pairs_mut();
            markers.iter().for_each(|(key, id)| {
                query.append_pair("key-marker", key).append_pair("upload-id-marker", id);
            });
            query.append_pair("prefix", &format!("{prefix}/")).append_pair("uploads", "");
        }
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url.as_str().parse().map_err(|_| failed("the bucket has no address"))?;
        let credential = self.store.credentials().get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(&mut request, None)?;
        let answer = self.client.execute(request).await.map_err(failed)?;
        let status = answer.status();
        let body = answer.into_body().bytes().await.map_err(failed)?;
        let text = String::from_utf8_lossy(&body);
        if !status.is_success() {
            return Err(failed(format!("Server returned non-2xx status code: {status}: {text}")));
        }
        quick_xml::de::from_str(&text).map_err(failed)
    }

    /// Address of the bucket, derived from object_store's address of an object.
    async fn endpoint(&self) -> Result<Url> {
        let object = Path::from("x");
        let mut url = self.store.signed_url(Default::default(), &object, Duration::from_secs(60)).await?;
        url.set_query(None);
        let bucket = url.path().trim_end_matches('x').to_owned();
        url.set_path(&bucket);
        Ok(url)
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}
