//! The Hub's API: the commit of a revision, listings, and metadata of files.

use super::client::{Ask, Client, failed, text};
use crate::passed_over::{Passed, PassedOver, escaped};
use ::http::{HeaderMap, Method};
use chrono::DateTime;
use object_store::{ObjectMeta, Result, path::Path};
use serde::Deserialize;
use url::Url;

/// Largest number of files of a listing; the Hub's own limit for a repository is a tenth of it. Memory: 300
/// bytes each.
const MOST_FILES: usize = 1_000_000;

/// A file or a folder of a listing.
#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    #[serde(rename = "type")]
    kind: String,
    pub path: String,
    /// Digest of Git: of the content, or for a file of LFS of the pointer.
    #[serde(default)]
    oid: Option<String>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    lfs: Option<Lfs>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    /// SHA-256 of the content.
    oid: String,
    size: u64,
}

impl Entry {
    pub(super) fn is_file(&self) -> bool {
        self.kind == "file"
    }

    /// Metadata of the file at this path.
    pub(super) fn meta(self, location: Path) -> ObjectMeta {
        let (size, e_tag) = match self.lfs {
            Some(lfs) => (lfs.size, Some(lfs.oid)),
            None => (self.size, self.oid),
        };
        // The times of all files would make a listing twenty times slower; no reader needs them.
        ObjectMeta { location, last_modified: DateTime::UNIX_EPOCH, size, e_tag, version: None }
    }

    /// The path, if a request can carry it; other names are noted.
    pub(super) fn location(&self, passed_over: &PassedOver) -> Option<Path> {
        let parsed = Path::parse(&self.path).ok().filter(|path| path.as_ref() == self.path);
        if parsed.is_none() {
            passed_over.note(Passed {
                name: escaped(self.path.as_bytes()),
                why: "no request can carry its name".to_owned(),
                is_folder: !self.is_file(),
            });
        }
        parsed
    }
}

/// Address of an API of a repository.
pub(super) fn address<'a>(
    client: &Client,
    kind: &'a str,
    name: &'a str,
    rest: impl IntoIterator<Item = &'a str>,
) -> Url {
    client.address(["api", kind].into_iter().chain(name.split('/')).chain(rest))
}

/// Commit of a revision.
pub(super) async fn commit(client: &Client, kind: &str, name: &str, revision: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Revision {
        sha: String,
    }
    let url = address(client, kind, name, ["revision", revision]);
    let (_, Revision { sha }) = client.json(&Ask::get(url)).await?;
    if capfilt_schemas::hub_url::is_commit(&sha) {
        return Ok(sha);
    }
    Err(failed(format!("the Hub names no commit for `{revision}`, but `{}`", escaped(sha.as_bytes()))))
}

/// All pages of a listing; `None` if the folder does not exist.
pub(super) async fn tree(client: &Client, folder: Url) -> Result<Option<Vec<Entry>>> {
    let (mut next, mut all) = (Some(folder), Vec::new());
    while let Some(url) = next {
        let page = client.json::<Vec<Entry>>(&Ask::get(url.clone())).await;
        let (headers, page) = match page {
            Err(error) if all.is_empty() && is_no_entry(&error) => return Ok(None),
            page => page?,
        };
        all.extend(page);
        if all.len() > MOST_FILES {
            return Err(failed(format!("the repository has more than {MOST_FILES} files")));
        }
        next = next_page(client, &url, &headers)?;
    }
    Ok(Some(all))
}

/// Metadata of one file; `None` if it does not exist.
pub(super) async fn file(client: &Client, paths_info: Url, path: &str) -> Result<Option<Entry>> {
    let body = serde_json::json!({"paths": [path], "expand": false}).to_string().into();
    let ask = Ask { method: Method::POST, url: paths_info, range: None, body: Some(body) };
    let (_, found) = client.json::<Vec<Entry>>(&ask).await?;
    Ok(found.into_iter().find(|entry| entry.is_file() && entry.path == path))
}

fn is_no_entry(error: &object_store::Error) -> bool {
    let hub = crate::fault::causes(error).find_map(|cause| cause.downcast_ref::<super::error::HubError>());
    hub.is_some_and(|hub| hub.is_hub && hub.status == 404 && !hub.is_no_repository())
}

/// The page that `Link: <…>; rel="next"` names. A page of another host would receive the token.
fn next_page(client: &Client, url: &Url, headers: &HeaderMap) -> Result<Option<Url>> {
    let Some(links) = text(headers, "link") else { return Ok(None) };
    let next = links.split(',').find(|link| link.contains("rel=\"next\""));
    let target = next.and_then(|link| link.trim().strip_prefix('<')?.split_once('>'));
    let Some((target, _)) = target else { return Ok(None) };
    let target = url.join(target).ok().filter(|target| client.is_hub(target));
    target.map(Some).ok_or_else(|| failed("the next page of the listing is not at the Hub".to_owned()))
}
