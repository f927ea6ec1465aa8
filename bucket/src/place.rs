//! A URL opened: a store and a prefix in it.

use crate::{
    BucketError, advice,
    cloud::Cloud,
    folder::Folder,
    open::{self, Remote},
    passed_over::PassedOver,
    patient::Patient,
    stores,
    unfinished::Uploads,
};
use object_store::{
    ObjectStore, ObjectStoreScheme,
    path::{Path, PathPart},
};
use std::sync::Arc;
use url::Url;

/// A folder or a prefix in a bucket, or one object.
#[derive(Debug, Clone)]
pub struct Place {
    /// Without a final slash.
    pub url: String,
    pub store: Arc<dyn ObjectStore>,
    pub prefix: Path,
    /// Whether the URL was given with a final slash: it names no object then, whichever there are.
    pub is_prefix: bool,
    /// What listings of this place met and could not tell.
    pub passed_over: Arc<PassedOver>,
    /// What lists unfinished uploads, where there is such a list.
    pub(crate) uploads: Option<Arc<Uploads>>,
}

impl Place {
    /// Opens `s3://`, `gs://`, `az://`, `file://` or a path; credentials and endpoints come from the environment, under
    /// the names of the clouds' own tools (docs/stores.md).
    ///
    /// # Errors
    /// When it is no such URL, or when a variable's value cannot be used; nothing is asked of the store.
    pub fn open(url: &str) -> Result<Self, BucketError> {
        match Url::parse(url) {
            Ok(parsed) if parsed.scheme() == "file" => {
                let path = parsed.to_file_path().map_err(|()| refused(url, "a file:// URL needs an absolute path"))?;
                Self::open_folder(url, &path)
            }
            Ok(parsed) => Self::open_remote(url, &parsed),
            Err(_) => Self::open_folder(url, std::path::Path::new(url)),
        }
    }

    /// A place in any store, for tests.
    pub fn over(store: Arc<dyn ObjectStore>, url: &str, prefix: Path) -> Self {
        Self { url: url.to_owned(), store, prefix, is_prefix: false, passed_over: Arc::default(), uploads: None }
    }

    fn open_remote(url: &str, parsed: &Url) -> Result<Self, BucketError> {
        // URLs are written into records and logs.
        let is_container = parsed.scheme().starts_with("abfs"); // abfss://container@account.dfs…
        if (!parsed.username().is_empty() && !is_container) || parsed.password().is_some() || parsed.query().is_some() {
            return Err(refused(
                url,
                "it holds a user name, a password or a query; credentials belong in the environment",
            ));
        }
        if parsed.fragment().is_some() {
            return Err(refused(url, "`#` ends an object's name in a URL; write it as %23"));
        }
        let cloud = Cloud::of_url(url).ok_or_else(|| refused(url, "its scheme or its host is none of a store"))?;
        let scheme = ObjectStoreScheme::parse(parsed).map_err(|error| refused(url, &error.to_string()));
        let (_, prefix) = scheme?;
        let passed_over = Arc::<PassedOver>::default();
        let said = stores::said(cloud, url)?;
        advice::note(&without_secrets(url), stores::way(cloud, &said));
        let Remote { store, parts, uploads } = open::open(cloud, parsed, &said, Arc::clone(&passed_over))?;
        let is_prefix = url.ends_with('/');
        let url = url.trim_end_matches('/').to_owned();
        let root = url.split('/').take(3).collect::<Vec<_>>().join("/");
        let (store, uploads) = (Arc::new(Patient::new(store, parts, &root)), uploads.map(Arc::new));
        Ok(Self { url, store, prefix, is_prefix, passed_over, uploads })
    }

    fn open_folder(url: &str, path: &std::path::Path) -> Result<Self, BucketError> {
        let absolute = std::path::absolute(path).map_err(|error| refused(url, &error.to_string()))?;
        let prefix = Path::from_absolute_path(&absolute).map_err(|error| refused(url, &error.to_string()))?;
        let passed_over = Arc::<PassedOver>::default();
        let store = Arc::new(Folder::new(Arc::clone(&passed_over)));
        let url = absolute.display().to_string();
        let is_prefix = url.ends_with('/');
        let url = if url.len() > 1 { url.trim_end_matches('/').to_owned() } else { url };
        Ok(Self { url, store, prefix, is_prefix, passed_over, uploads: None })
    }

    /// The URL as it was given: with its final slash, if it had one.
    pub fn given(&self) -> String {
        if self.is_prefix && !self.url.ends_with('/') { format!("{}/", self.url) } else { self.url.clone() }
    }

    /// The local path, when the place is one.
    pub fn local_path(&self) -> Option<std::path::PathBuf> {
        (!self.url.contains("://")).then(|| std::path::PathBuf::from(&self.url))
    }

    /// The full path of a name below this place; the empty name is the place itself.
    pub fn path_of(&self, name: &str) -> Path {
        // Names come from listings and from rows, as they are: encoding `é`, `#` or `~` would name another object. What
        // no name can be (`..`, control characters) is encoded, and so found nowhere.
        let part = |part| PathPart::parse(part).unwrap_or_else(|_| PathPart::from(part));
        name.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), |path, next| path.join(part(next)))
    }

    /// The URL of a name below this place, for people.
    pub fn url_of(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

fn refused(url: &str, why: &str) -> BucketError {
    let shown = without_secrets(url);
    // The store's own message quotes the URL as it was given.
    BucketError::Url { why: why.replace(url, &shown), url: shown }
}

/// The URL without user, password and query, which may carry signatures.
pub fn without_secrets(url: &str) -> String {
    match Url::parse(url) {
        Ok(mut parsed) if parsed.has_host() => {
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.set_query(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    }
}

/// User and password of a URL, percent-decoded; the password is empty when there is none.
pub fn user_of(url: &str) -> Option<(String, String)> {
    let parsed = Url::parse(url).ok().filter(|parsed| !parsed.username().is_empty())?;
    Some((decoded(parsed.username()), decoded(parsed.password().unwrap_or_default())))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let byte = after.get(..2).filter(|_| *first == b'%').and_then(|hex| hex::decode(hex).ok());
        bytes.push(byte.as_ref().map_or(*first, |byte| byte[0]));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_is_read_from_a_url_as_it_was_meant() {
        let user = |url: &str| user_of(url).map(|(user, password)| format!("{user} {password}"));
        assert_eq!(user("nats://me:a%3Ab%2@host:4222"), Some("me a:b%2".to_owned()));
        assert_eq!(user("nats://token@host"), Some("token ".to_owned()));
        assert_eq!(user("nats://host:4222"), None);
    }

    #[test]
    fn a_path_and_its_file_url_are_the_same_place() {
        let folder = tempfile::tempdir().unwrap();
        let by_path = Place::open(folder.path().to_str().unwrap()).unwrap();
        let by_url = Place::open(&format!("file://{}", folder.path().display())).unwrap();
        assert_eq!((by_path.url, by_path.prefix), (by_url.url, by_url.prefix));
    }

    #[test]
    fn a_name_is_taken_as_it_is_and_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::open(folder.path().to_str().unwrap()).unwrap();
        let name = "données/犬 ~1 [2] 100%25 a#b?.parquet";
        assert_eq!(place.path_of(name).as_ref(), format!("{}/{name}", place.prefix));
        assert!(place.path_of("a/../../b\0").as_ref().ends_with("a/%2E%2E/%2E%2E/b%00"));
    }

    #[test]
    fn an_error_shows_no_password() {
        let error = Place::open("ftp://me:secret@host/x?sig=abc").unwrap_err().to_string();
        assert!(!error.contains("secret") && !error.contains("abc"), "{error}");
        assert!(Place::open("s3://bucket/run#1").is_err(), "it would be the place of all runs");
        let error = Place::open("s3://me:secret@bucket/x").unwrap_err().to_string();
        assert!(error.contains("environment") && !error.contains("secret"), "{error}");
    }
}
