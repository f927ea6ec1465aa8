//! An opened URL: a store and a prefix in it.

use crate::{
    StoreError, advice,
    braces::{self, Braces},
    cloud::Cloud,
    environment::Said,
    folder::Folder,
    hub::{Repository, bucket},
    open::{self, Remote},
    passed_over::PassedOver,
    retry::RetryingStore,
    stores,
    uploads::Uploads,
    url_text::without_secrets,
};
use capfilt_schemas::hub_url::{HubKind, HubUrl};
use object_store::{
    ObjectStore, ObjectStoreScheme,
    path::{Path, PathPart},
};
use std::sync::Arc;
use url::Url;

/// A folder or a prefix in a bucket, or one object.
#[derive(Debug, Clone)]
pub struct Location {
    /// URL without a final slash.
    pub url: String,
    /// Store of the URL, with retries.
    pub store: Arc<dyn ObjectStore>,
    /// Path of the URL in the store.
    pub prefix: Path,
    /// Whether the URL was given with a final slash: then it does not name an object.
    pub is_prefix: bool,
    /// The only names below the URL that belong to it, if it was given with a brace pattern.
    pub braces: Option<Arc<Braces>>,
    /// Names that listings below this URL skipped.
    pub passed_over: Arc<PassedOver>,
    /// Lists unfinished uploads, if the protocol has such a request.
    pub(crate) uploads: Option<Arc<Uploads>>,
    /// The repository of the Hub, if the URL names one.
    pub(crate) repository: Option<Repository>,
}

impl Location {
    /// Opens `s3://`, `gs://`, `az://`, `hf://`, `file://` or a path, also with a brace pattern. Credentials
    /// and endpoints come from the environment, under the names of the clouds' own tools (docs/stores.md).
    ///
    /// # Errors
    /// Another kind of URL, and an unusable value of a variable. No request is made.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        match braces::expand(url)? {
            Some((folder, braces)) => Ok(Self { braces: Some(Arc::new(braces)), ..Self::open_one(&folder)? }),
            None => Self::open_one(url),
        }
    }

    fn open_one(url: &str) -> Result<Self, StoreError> {
        if let Some(parsed) = HubUrl::parse(url) {
            let parsed = parsed.map_err(|why| refused(url, why))?;
            return match parsed.kind {
                HubKind::Bucket => Self::open_bucket(url, &parsed),
                HubKind::Dataset | HubKind::Model => Self::open_repository(url, &parsed),
            };
        }
        match Url::parse(url) {
            Ok(parsed) if parsed.scheme() == "file" => {
                let path = parsed
                    .to_file_path()
                    .map_err(|()| refused(url, "a file:// URL needs an absolute path"))?;
                Self::open_folder(url, &path)
            }
            Ok(parsed) => Self::open_remote(url, &parsed),
            Err(_) => Self::open_folder(url, std::path::Path::new(url)),
        }
    }

    /// A prefix in any store, for tests.
    pub fn over(store: Arc<dyn ObjectStore>, url: &str, prefix: Path) -> Self {
        Self {
            url: url.to_owned(),
            store,
            prefix,
            is_prefix: false,
            braces: None,
            passed_over: Arc::default(),
            uploads: None,
            repository: None,
        }
    }

    fn open_repository(url: &str, parsed: &HubUrl) -> Result<Self, StoreError> {
        let prefix = Path::from_url_path(&parsed.path).map_err(|error| refused(url, &error.to_string()))?;
        let passed_over = Arc::<PassedOver>::default();
        let (repository, endpoint) = Repository::open(parsed, Arc::clone(&passed_over))?;
        let root = parsed.root();
        advice::note(&root, advice::Way { endpoint: Some(endpoint), ..advice::Way::default() });
        let store = Arc::new(repository.clone());
        let store = Arc::new(RetryingStore::new(Arc::clone(&store) as _, store, &root));
        let (is_prefix, url) = (url.ends_with('/'), url.trim_end_matches('/').to_owned());
        let (braces, uploads, repository) = (None, None, Some(repository));
        Ok(Self { url, store, prefix, is_prefix, braces, passed_over, uploads, repository })
    }

    fn open_bucket(url: &str, parsed: &HubUrl) -> Result<Self, StoreError> {
        let (in_s3, said) = bucket::in_s3(parsed, stores::said(Cloud::S3, url)?);
        Self::open_cloud(url, (Cloud::S3, &in_s3), &said, &parsed.root())
    }

    fn open_remote(url: &str, parsed: &Url) -> Result<Self, StoreError> {
        // URLs are written into records and logs.
        let is_container = parsed.scheme().starts_with("abfs"); // abfss://container@account.dfs…
        if (!parsed.username().is_empty() && !is_container)
            || parsed.password().is_some()
            || parsed.query().is_some()
        {
            return Err(refused(
                url,
                "it contains a user name, a password or a query; credentials belong in the environment",
            ));
        }
        if parsed.fragment().is_some() {
            return Err(refused(url, "`#` ends an object's name in a URL; write it as %23"));
        }
        let cloud = Cloud::of_url(url)
            .ok_or_else(|| refused(url, "its scheme or its host is not that of a known store"))?;
        Self::open_cloud(url, (cloud, parsed), &stores::said(cloud, url)?, first_parts(url))
    }

    /// `root`: beginning of the URLs of the same store.
    fn open_cloud(
        url: &str,
        (cloud, parsed): (Cloud, &Url),
        said: &Said,
        root: &str,
    ) -> Result<Self, StoreError> {
        let scheme = ObjectStoreScheme::parse(parsed).map_err(|error| refused(url, &error.to_string()));
        let (_, prefix) = scheme?;
        let passed_over = Arc::<PassedOver>::default();
        advice::note(&without_secrets(url), stores::way(cloud, said));
        let Remote { store, parts, uploads } = open::open(cloud, parsed, said, Arc::clone(&passed_over))?;
        let (is_prefix, url) = (url.ends_with('/'), url.trim_end_matches('/').to_owned());
        let (store, uploads) = (Arc::new(RetryingStore::new(store, parts, root)), uploads.map(Arc::new));
        let (braces, repository) = (None, None);
        Ok(Self { url, store, prefix, is_prefix, braces, passed_over, uploads, repository })
    }

    fn open_folder(url: &str, path: &std::path::Path) -> Result<Self, StoreError> {
        let absolute = std::path::absolute(path).map_err(|error| refused(url, &error.to_string()))?;
        let prefix = Path::from_absolute_path(&absolute).map_err(|error| refused(url, &error.to_string()))?;
        let passed_over = Arc::<PassedOver>::default();
        let store = Arc::new(Folder::new(Arc::clone(&passed_over)));
        let url = absolute.display().to_string();
        let is_prefix = url.ends_with('/');
        let url = if url.len() > 1 { url.trim_end_matches('/').to_owned() } else { url };
        let (braces, uploads, repository) = (None, None, None);
        Ok(Self { url, store, prefix, is_prefix, braces, passed_over, uploads, repository })
    }

    /// Beginning of the URLs of the same store: scheme and bucket, or a repository of the Hub; empty for
    /// local paths.
    pub fn root(&self) -> String {
        match HubUrl::parse(&self.url) {
            Some(Ok(parsed)) => parsed.root(),
            _ if self.url.contains("://") => first_parts(&self.url).to_owned(),
            _ => String::new(),
        }
    }

    /// The URL as given, with the commit of the Hub in place of a branch or a tag. Other URLs have no commits
    /// and are returned as given.
    ///
    /// # Errors
    /// A repository or a revision that is not there or not visible, and a failing Hub.
    pub async fn at_commit(&self) -> Result<String, StoreError> {
        let Some(repository) = &self.repository else { return Ok(self.given()) };
        let url = repository.at_commit().await;
        let url = url.map_err(|source| StoreError::store("find the commit of", &self.url, source))?;
        Ok(match &self.braces {
            Some(braces) => format!("{url}/{}", braces.pattern),
            None if self.is_prefix => format!("{url}/"),
            None => url,
        })
    }

    /// The URL as given: with its pattern or its final slash, if it had one.
    pub fn given(&self) -> String {
        if let Some(braces) = &self.braces {
            return self.url_of(&braces.pattern);
        }
        if self.is_prefix && !self.url.ends_with('/') { format!("{}/", self.url) } else { self.url.clone() }
    }

    /// The local path, if the URL is local.
    pub fn local_path(&self) -> Option<std::path::PathBuf> {
        (!self.url.contains("://")).then(|| std::path::PathBuf::from(&self.url))
    }

    /// The local file with a name of a listing, if the URL is local.
    pub fn local_file(&self, name: &str) -> Option<std::path::PathBuf> {
        let is_itself = !self.is_prefix && self.prefix.filename() == Some(name);
        self.local_path().map(|root| if is_itself { root } else { root.join(name) })
    }

    /// Whether the location is in a repository of the Hugging Face Hub, where the ETag of a large file is its
    /// SHA-256.
    pub fn is_repository(&self) -> bool {
        self.repository.is_some()
    }

    /// The folder or prefix that has the file with a name of a listing: this location, or the one around it
    /// if its URL names the file itself.
    pub fn around(&self, name: &str) -> Self {
        let is_itself = !self.is_prefix && self.prefix.filename() == Some(name);
        let Some((url, _)) = self.url.rsplit_once('/').filter(|_| is_itself) else { return self.clone() };
        let parts: Vec<PathPart<'_>> = self.prefix.parts().collect();
        let prefix = parts[..parts.len().saturating_sub(1)].iter().cloned().collect();
        Self { url: url.to_owned(), prefix, is_prefix: true, ..self.clone() }
    }

    /// Full path of a name below this URL; the empty name is the URL itself.
    pub fn path_of(&self, name: &str) -> Path {
        // Names come unescaped from listings and rows: an escaped `é`, `#` or `~` would name another object.
        // Parts that no name can have (`..`, control characters) are escaped, and therefore not found.
        let part = |part| PathPart::parse(part).unwrap_or_else(|_| PathPart::from(part));
        name.split('/')
            .filter(|part| !part.is_empty())
            .fold(self.prefix.clone(), |path, next| path.join(part(next)))
    }

    /// URL of a name below this one, for people.
    pub fn url_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

/// Scheme and host of a URL.
fn first_parts(url: &str) -> &str {
    url.match_indices('/').nth(2).map_or(url, |(end, _)| &url[..end])
}

fn refused(url: &str, why: &str) -> StoreError {
    let shown = without_secrets(url);
    // The store's own message quotes the given URL.
    StoreError::Url { why: why.replace(url, &shown), url: shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_its_file_url_are_the_same_location() {
        let folder = tempfile::tempdir().unwrap();
        let by_path = Location::open(folder.path().to_str().unwrap()).unwrap();
        let by_url = Location::open(&format!("file://{}", folder.path().display())).unwrap();
        assert_eq!((by_path.url, by_path.prefix), (by_url.url, by_url.prefix));
    }

    #[test]
    fn a_name_is_taken_as_it_is_and_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = Location::open(folder.path().to_str().unwrap()).unwrap();
        let name = "données/犬 ~1 [2] 100%25 a#b?.parquet";
        assert_eq!(place.path_of(name).as_ref(), format!("{}/{name}", place.prefix));
        assert!(place.path_of("a/../../b\0").as_ref().ends_with("a/%2E%2E/%2E%2E/b%00"));
    }

    #[test]
    fn images_lie_beside_the_file_that_a_url_names_itself() {
        let place = Location::open("/data/web/metadata.jsonl").unwrap();
        let around = place.around("metadata.jsonl");
        assert_eq!((around.url.as_str(), around.path_of("a.jpg").as_ref()), ("/data/web", "data/web/a.jpg"));
        assert_eq!(place.around("other.jsonl").url, place.url);
    }

    #[test]
    fn an_error_shows_no_password() {
        let error = Location::open("ftp://me:secret@host/x?sig=abc").unwrap_err().to_string();
        assert!(!error.contains("secret") && !error.contains("abc"), "{error}");
        assert!(
            Location::open("s3://bucket/run#1").is_err(),
            "without the fragment, all runs would share one prefix"
        );
        let error = Location::open("s3://me:secret@bucket/x").unwrap_err().to_string();
        assert!(error.contains("environment") && !error.contains("secret"), "{error}");
    }
}
