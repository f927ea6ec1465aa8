//! A repository of the Hub at one commit, as a store.

use super::{
    addresses::{Address, Addresses},
    api::{self, Entry},
    client::{Ask, Client, failed, text},
};
use crate::{StoreError, passed_over::PassedOver};
use ::http::{HeaderMap, StatusCode};
use capfilt_schemas::hub_url::{HubKind, HubUrl, is_commit};
use chrono::DateTime;
use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream, stream::BoxStream,
};
use object_store::{
    Attributes, CopyOptions, Error, Extensions, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    client::HttpResponse,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use std::{collections::BTreeSet, fmt, ops::Range, sync::Arc};
use tokio::sync::OnceCell;
use url::Url;

/// Redirects that one read follows: the Hub needs two, for a renamed repository and for its cache.
const MOST_REDIRECTS: usize = 6;

const MAIN: &str = "main";

/// A repository; clones share the commit.
#[derive(Debug, Clone)]
pub(crate) struct Repository(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    url: HubUrl,
    /// Found by the first request.
    commit: OnceCell<String>,
    addresses: Addresses,
    passed_over: Arc<PassedOver>,
}

impl Repository {
    /// Opens a repository and returns it with the variable or key that names its endpoint; no request is
    /// made.
    ///
    /// # Errors
    /// An unusable variable or key of the settings.
    pub(crate) fn open(url: &HubUrl, passed_over: Arc<PassedOver>) -> Result<(Self, String), StoreError> {
        let revision = url.revision.clone().unwrap_or_else(|| MAIN.to_owned());
        let at_no_revision = HubUrl { revision: None, ..url.clone() }.to_string();
        let client = Client::open(&at_no_revision, &page(url).join("/"), &revision)?;
        let from = client.access.endpoint_from.clone();
        let commit = OnceCell::new_with(is_commit(&revision).then_some(revision));
        let url = url.clone();
        let inner = Inner { client, url, commit, addresses: Addresses::default(), passed_over };
        Ok((Self(Arc::new(inner)), from))
    }

    /// The URL with the commit in place of the branch or tag.
    ///
    /// # Errors
    /// A repository or a revision that is not there or not visible.
    pub(crate) async fn at_commit(&self) -> Result<String> {
        Ok(self.0.url.at(self.0.commit().await?).to_string())
    }
}

/// Parts of a repository's address below the endpoint.
fn page(url: &HubUrl) -> Vec<&str> {
    let kind = (url.kind == HubKind::Dataset).then_some("datasets");
    kind.into_iter().chain(url.name.split('/')).collect()
}

impl Inner {
    async fn commit(&self) -> Result<&str> {
        let Self { client, url, commit, .. } = self;
        let resolve = || api::commit(client, url.kind.name(), &url.name, &client.revision);
        commit.get_or_try_init(resolve).await.map(String::as_str)
    }

    /// Address of an API about this commit.
    async fn api(&self, name: &str, path: &str) -> Result<Url> {
        let parts = [name, self.commit().await?].into_iter().chain(path.split('/').filter(|p| !p.is_empty()));
        Ok(api::address(&self.client, self.url.kind.name(), &self.url.name, parts))
    }

    /// Files and folders below a prefix, or directly in it.
    async fn entries(&self, prefix: Option<&Path>, is_recursive: bool) -> Result<Vec<(Path, Entry)>> {
        let mut url = self.api("tree", prefix.map_or("", |prefix| prefix.as_ref())).await?;
        url.set_query(Some(if is_recursive { "recursive=true&expand=false" } else { "expand=false" }));
        let all = api::tree(&self.client, url).await?.unwrap_or_default();
        let is_below = |path: &Path| {
            prefix
                .is_none_or(|prefix| path.prefix_match(prefix).is_some_and(|mut rest| rest.next().is_some()))
        };
        let located = all.into_iter().filter_map(|entry| Some((entry.location(&self.passed_over)?, entry)));
        Ok(located.filter(|(path, _)| is_below(path)).collect())
    }

    /// All files below a prefix, sorted: the Hub lists folders first, and a repeated listing continues after
    /// a name.
    async fn files(&self, prefix: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        let entries = self.entries(prefix, true).await?.into_iter().filter(|(_, entry)| entry.is_file());
        let mut files: Vec<ObjectMeta> = entries.map(|(path, entry)| entry.meta(path)).collect();
        files.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(files)
    }

    async fn head(&self, location: &Path) -> Result<ObjectMeta> {
        let url = self.api("paths-info", "").await?;
        let found = api::file(&self.client, url, location.as_ref()).await?;
        found.map(|entry| entry.meta(location.clone())).ok_or_else(|| not_there(location))
    }

    /// Requests a file, or a range of it, and follows redirects to its bytes.
    async fn read(&self, location: &Path, range: Option<String>) -> Result<(HttpResponse, Option<String>)> {
        if let Some(Address { url, e_tag }) = self.addresses.of(location) {
            let answer = self.client.ask(&Ask { range: range.clone(), ..Ask::get(url) }).await?;
            if answer.status().is_success() {
                return Ok((answer, e_tag));
            }
            // The signature of the address may have ended.
            self.addresses.forget(location);
        }
        let commit = self.commit().await?;
        let parts =
            page(&self.url).into_iter().chain(["resolve", commit]).chain(location.as_ref().split('/'));
        let (mut url, mut e_tag) = (self.client.address(parts), None);
        for _ in 0..=MOST_REDIRECTS {
            let is_hub = self.client.is_hub(&url);
            let answer = self.client.ask(&Ask { range: range.clone(), ..Ask::get(url.clone()) }).await?;
            if is_hub && e_tag.is_none() {
                e_tag = digest(answer.headers(), answer.status());
            }
            match answer.status() {
                status if status.is_success() => {
                    if !is_hub {
                        self.addresses.note(location, Address { url, e_tag: e_tag.clone() });
                    }
                    return Ok((answer, e_tag));
                }
                status if status.is_redirection() => url = self.client.target(&url, answer.headers())?,
                StatusCode::NOT_FOUND if is_hub && !names_another_fault(answer.headers()) => {
                    return Err(not_there(location));
                }
                _ => return Err(self.client.refusal(&url, answer).await),
            }
        }
        Err(failed(format!("{location}: more than {MOST_REDIRECTS} redirects")))
    }

    async fn get(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            let meta = self.head(location).await?;
            options.check_preconditions(&meta)?;
            let payload = GetResultPayload::Stream(stream::empty().boxed());
            let range = 0..0;
            let (attributes, extensions) = (Attributes::new(), Extensions::new());
            return Ok(GetResult { payload, meta, range, attributes, extensions });
        }
        options.range.iter().try_for_each(|range| range.is_valid()).map_err(failed)?;
        let asked = options.range.as_ref().map(ToString::to_string);
        let (answer, e_tag) = self.read(location, asked.clone()).await?;
        let (range, size) = match extent(&answer, asked.is_some())? {
            Some(extent) => extent,
            // An answer in chunks has no length.
            None => self.head(location).await.map(|meta| (0..meta.size, meta.size))?,
        };
        let location = location.clone();
        let meta = ObjectMeta { location, last_modified: DateTime::UNIX_EPOCH, size, e_tag, version: None };
        // Without an ETag, `PinnedObject` reads the metadata and compares.
        if meta.e_tag.is_some() {
            options.check_preconditions(&meta)?;
        }
        let payload = GetResultPayload::Stream(answer.into_body().bytes_stream().map_err(failed).boxed());
        let (attributes, extensions) = (Attributes::new(), Extensions::new());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }
}

/// The Hub's digest of the content: of a file of LFS in the redirect, of a small file in the answer itself.
fn digest(headers: &HeaderMap, status: StatusCode) -> Option<String> {
    let own = || text(headers, "etag").filter(|_| status.is_success());
    let e_tag = text(headers, "x-linked-etag").or_else(own)?;
    Some(e_tag.trim_start_matches("W/").trim_matches('"').to_owned())
}

/// Whether a 404 is about the repository or the revision, not about the file.
fn names_another_fault(headers: &HeaderMap) -> bool {
    text(headers, "x-error-code").is_some_and(|code| code != "EntryNotFound")
}

/// The range of an answer, and the size of the file; `None` for a whole file whose answer has no length.
fn extent(answer: &HttpResponse, has_range: bool) -> Result<Option<(Range<u64>, u64)>> {
    if !has_range {
        let size = text(answer.headers(), "content-length").and_then(|text| text.parse().ok());
        return Ok(size.map(|size| (0..size, size)));
    }
    let range = text(answer.headers(), "content-range").filter(|_| answer.status() == 206);
    let parsed = range.as_ref().and_then(|text| {
        let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let end: u64 = end.parse().ok()?;
        Some((start.parse().ok()?..end.checked_add(1)?, size.parse().ok()?))
    });
    parsed.map(Some).ok_or_else(|| failed("the server ignores ranges, which reads need"))
}

fn not_there(location: &Path) -> Error {
    Error::NotFound { path: location.to_string(), source: "the repository has no such file".into() }
}

fn read_only() -> Error {
    let why = "repositories of the Hub are read only here; a job can be in hf://buckets/owner/name or in \
               another store";
    Error::NotSupported { source: why.into() }
}

impl fmt::Display for Repository {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.url.fmt(out)
    }
}

#[async_trait::async_trait]
impl ObjectStore for Repository {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get(location, options).await
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, prefix) = (Arc::clone(&self.0), prefix.cloned());
        let files = async move { inner.files(prefix.as_ref()).await };
        files.map_ok(|files| stream::iter(files.into_iter().map(Ok))).into_stream().try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let (mut objects, mut folders) = (Vec::new(), BTreeSet::new());
        for (path, entry) in self.0.entries(prefix, false).await? {
            if entry.is_file() {
                objects.push(entry.meta(path));
            } else {
                folders.insert(path);
            }
        }
        Ok(ListResult {
            objects,
            common_prefixes: folders.into_iter().collect(),
            extensions: Extensions::new(),
        })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(read_only())).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only())
    }
}

#[async_trait::async_trait]
impl MultipartStore for Repository {
    async fn create_multipart(&self, _: &Path) -> Result<String> {
        Err(read_only())
    }

    async fn put_part(&self, _: &Path, _: &String, _: usize, _: PutPayload) -> Result<PartId> {
        Err(read_only())
    }

    async fn complete_multipart(&self, _: &Path, _: &String, _: Vec<PartId>) -> Result<PutResult> {
        Err(read_only())
    }

    async fn abort_multipart(&self, _: &Path, _: &String) -> Result<()> {
        Err(read_only())
    }
}
