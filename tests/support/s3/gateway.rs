//! GET as the S3 gateway of the Hub's buckets answers it: with a redirect to a cache at another host, which
//! has other ETags or none, and which ignores `If-Match`.

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_RANGE, ETAG, HOST, LOCATION, RANGE},
};
use s3s::Body;
use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Redirects of a server; off until a test turns them on.
#[derive(Debug, Clone, Default)]
pub struct Gateway {
    is_on: Arc<AtomicBool>,
    hides_etags: Arc<AtomicBool>,
    has_leaked: Arc<AtomicBool>,
}

impl Gateway {
    /// Redirects reads of objects from now on.
    pub fn redirect(&self) {
        self.is_on.store(true, Ordering::Relaxed);
    }

    /// The cache answers without ETags from now on.
    pub fn hide_etags(&self) {
        self.hides_etags.store(true, Ordering::Relaxed);
    }

    /// Whether the cache has received a signature.
    pub fn has_leaked_a_signature(&self) -> bool {
        self.has_leaked.load(Ordering::Relaxed)
    }

    /// The answer to a read of an object; `None` for other calls.
    pub fn answer(&self, call: &Request<Incoming>, root: &Path) -> Option<Response<Body>> {
        if !self.is_on.load(Ordering::Relaxed) || call.method() != Method::GET || call.uri().query().is_some()
        {
            return None;
        }
        let file = root.join(call.uri().path().trim_start_matches('/'));
        let text = |name| call.headers().get(name)?.to_str().ok();
        let (_, port) = text(HOST)?.split_once(':')?;
        if !text(HOST)?.starts_with("localhost") {
            let target = format!("http://localhost:{port}{}", call.uri().path());
            let redirect = Response::builder().status(StatusCode::FOUND).header(LOCATION, target);
            return file.is_file().then(|| redirect.body(Body::empty()).unwrap());
        }
        if text(AUTHORIZATION).is_some() {
            self.has_leaked.store(true, Ordering::Relaxed);
        }
        Some(self.of_cache(&file, text(RANGE)))
    }

    fn of_cache(&self, file: &PathBuf, range: Option<&str>) -> Response<Body> {
        let bytes = std::fs::read(file).unwrap();
        let mut digest = DefaultHasher::new();
        bytes.hash(&mut digest);
        let mut answer = Response::builder();
        if !self.hides_etags.load(Ordering::Relaxed) {
            answer = answer.header(ETAG, format!("\"cache-{:x}\"", digest.finish()));
        }
        let part = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((start, end)) = part else { return answer.body(Body::from(bytes)).unwrap() };
        let start: usize = start.parse().unwrap();
        let end = end.parse().unwrap_or(usize::MAX).min(bytes.len() - 1);
        let range = format!("bytes {start}-{end}/{}", bytes.len());
        let part = bytes[start..=end].to_vec();
        answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header(CONTENT_RANGE, range)
            .body(Body::from(part))
            .unwrap()
    }
}
