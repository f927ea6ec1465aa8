//! S3 in memory: the wire protocol, signatures, conditional writes and listings of the real thing, without
//! its disk.
//!
//! The tests' server keeps objects as files and walks a folder for every page of a listing; with 100,000
//! commits that walk would be all there is to measure. Here a listing costs what its page holds. Requests are
//! counted by method and by what they ask for, and may be given the latency of a real store.

use futures::TryStreamExt as _;
use hyper::body::Bytes;
use s3s::{
    Body, S3Request, S3Response, S3Result,
    auth::SimpleAuth,
    dto::{
        DeleteObjectInput, DeleteObjectOutput, ETag, ETagCondition, GetObjectInput, GetObjectOutput,
        HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, Object, PutObjectInput,
        PutObjectOutput, StreamingBlob, Timestamp,
    },
    s3_error,
    service::S3ServiceBuilder,
};
use std::{
    collections::BTreeMap,
    ops::{Bound, Sub},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

const BUCKET: &str = "capfilt";
const ACCESS_KEY: &str = "AKIDOFTHEBENCHMARK";
const SECRET_KEY: &str = "the secret of the benchmark";

/// Keys per page of a listing, as S3 has it.
const PAGE: usize = 1000;

/// Requests by method and folder: `("PUT", "commits")`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requests(pub BTreeMap<(&'static str, String), u64>);

impl Requests {
    /// All requests of a method.
    pub fn of(&self, method: &str) -> u64 {
        self.0.iter().filter(|((found, _), _)| *found == method).map(|(_, n)| n).sum()
    }

    /// "LIST commits 101, PUT commits 100000".
    pub fn shown(&self) -> String {
        self.0
            .iter()
            .map(|((method, folder), n)| format!("{method} {folder} {n}"))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Sub for Requests {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let since = |(kind, n): (_, u64)| (n - before.0.get(&kind).copied().unwrap_or(0), kind);
        Self(self.0.into_iter().map(since).filter(|(n, _)| *n > 0).map(|(n, kind)| (kind, n)).collect())
    }
}

struct Stored {
    bytes: Bytes,
    e_tag: String,
    modified: SystemTime,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<BTreeMap<String, Stored>>,
    requests: Mutex<Requests>,
    latency_ms: AtomicU64,
}

/// A running server with one bucket; it ends with the process.
pub struct S3 {
    shared: Arc<Shared>,
    endpoint: String,
}

impl S3 {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let mut service = S3ServiceBuilder::new(Store(Arc::clone(&shared)));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    socket.set_nodelay(true).unwrap();
                    let socket = hyper_util::rt::TokioIo::new(socket);
                    tokio::spawn(
                        hyper::server::conn::http1::Builder::new().serve_connection(socket, service.clone()),
                    );
                }
            });
        });
        Self { shared, endpoint }
    }

    pub fn url(&self, key: &str) -> String {
        format!("s3://{BUCKET}/{key}")
    }

    /// Environment variables with which a process reaches this server.
    pub fn env(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("NO_PROXY", "127.0.0.1"),
        ];
        variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }

    /// From now on every request waits so long before it is answered.
    pub fn set_latency(&self, latency: Duration) {
        self.shared.latency_ms.store(latency.as_millis() as u64, Ordering::Relaxed);
    }

    pub fn requests(&self) -> Requests {
        self.shared.requests.lock().unwrap().clone()
    }

    /// Puts an object past the protocol.
    pub fn put(&self, key: &str, bytes: Vec<u8>) {
        self.shared.put(key.to_owned(), bytes.into());
    }

    /// How many objects there are below a prefix.
    pub fn count(&self, prefix: &str) -> usize {
        below(&self.shared.objects.lock().unwrap(), prefix, None).count()
    }

    /// Removes every `nth` object below a prefix; how many these were.
    pub fn remove_every(&self, prefix: &str, nth: usize) -> usize {
        let mut objects = self.shared.objects.lock().unwrap();
        let keys: Vec<String> =
            below(&objects, prefix, None).step_by(nth).map(|(key, _)| key.clone()).collect();
        keys.iter().for_each(|key| drop(objects.remove(key)));
        keys.len()
    }
}

fn below<'a>(
    objects: &'a BTreeMap<String, Stored>,
    prefix: &'a str,
    after: Option<&str>,
) -> impl Iterator<Item = (&'a String, &'a Stored)> + use<'a> {
    let from = match after.filter(|after| *after > prefix) {
        Some(after) => Bound::Excluded(after.to_owned()),
        None => Bound::Included(prefix.to_owned()),
    };
    objects.range((from, Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(prefix))
}

impl Shared {
    fn put(&self, key: String, bytes: Bytes) -> String {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let e_tag = format!("{:032x}", NEXT.fetch_add(1, Ordering::Relaxed));
        let stored = Stored { bytes, e_tag: e_tag.clone(), modified: SystemTime::now() };
        self.objects.lock().unwrap().insert(key, stored);
        e_tag
    }

    /// Counts a request, and takes its time.
    async fn asked(&self, method: &'static str, key: &str) {
        // `jobs/a/commits/x/0.json` is about commits, `input/7.parquet` about input.
        let folder =
            key.strip_prefix("jobs/").and_then(|key| key.split_once('/')).map_or(key, |(_, name)| name);
        let folder = folder.split('/').next().unwrap_or_default();
        let folder = if folder.starts_with("plan-") { "plan" } else { folder };
        *self.requests.lock().unwrap().0.entry((method, folder.to_owned())).or_default() += 1;
        let latency_ms = self.latency_ms.load(Ordering::Relaxed);
        if latency_ms > 0 {
            tokio::time::sleep(Duration::from_millis(latency_ms)).await;
        }
    }
}

struct Store(Arc<Shared>);

type Answer<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl s3s::S3 for Store {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let PutObjectInput { key, body, if_none_match, .. } = request.input;
        self.0.asked("PUT", &key).await;
        let chunks = body.ok_or_else(|| s3_error!(IncompleteBody))?;
        let bytes: Vec<Bytes> = chunks.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
        // Looking and writing happen without an await in between, on one thread: of several creates one wins.
        if if_none_match.is_some() && self.0.objects.lock().unwrap().contains_key(&key) {
            return Err(s3_error!(PreconditionFailed, "the object exists"));
        }
        let e_tag = Some(ETag::Strong(self.0.put(key, bytes.concat().into())));
        Ok(S3Response::new(PutObjectOutput { e_tag, ..PutObjectOutput::default() }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let GetObjectInput { key, range, if_match, .. } = request.input;
        self.0.asked("GET", &key).await;
        let objects = self.0.objects.lock().unwrap();
        let stored = objects.get(&key).ok_or_else(|| s3_error!(NoSuchKey))?;
        let e_tag = ETag::Strong(stored.e_tag.clone());
        if let Some(ETagCondition::ETag(wanted)) = if_match
            && !wanted.strong_cmp(&e_tag)
        {
            return Err(s3_error!(PreconditionFailed, "the object has another ETag"));
        }
        let length = stored.bytes.len() as u64;
        let part = range.map(|range| range.check(length)).transpose()?;
        let content_range =
            part.as_ref().map(|part| format!("bytes {}-{}/{length}", part.start, part.end - 1));
        let part = part.unwrap_or(0..length);
        let bytes = stored.bytes.slice(part.start as usize..part.end as usize);
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(bytes.len() as i64),
            content_range,
            body: Some(StreamingBlob::from(Body::from(bytes))),
            e_tag: Some(e_tag),
            last_modified: Some(Timestamp::from(stored.modified)),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        self.0.asked("HEAD", &request.input.key).await;
        let objects = self.0.objects.lock().unwrap();
        let stored = objects.get(&request.input.key).ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(stored.bytes.len() as i64),
            e_tag: Some(ETag::Strong(stored.e_tag.clone())),
            last_modified: Some(Timestamp::from(stored.modified)),
            ..HeadObjectOutput::default()
        }))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        self.0.asked("DELETE", &request.input.key).await;
        self.0.objects.lock().unwrap().remove(&request.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> Answer<ListObjectsV2Output> {
        let ListObjectsV2Input { prefix, start_after, continuation_token, .. } = request.input;
        let prefix = prefix.unwrap_or_default();
        self.0.asked("LIST", &prefix).await;
        let objects = self.0.objects.lock().unwrap();
        let mut found = below(&objects, &prefix, continuation_token.or(start_after).as_deref());
        let contents: Vec<Object> = found.by_ref().take(PAGE).map(described).collect();
        let is_truncated = found.next().is_some();
        let last = contents.last().and_then(|object| object.key.clone());
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: Some(contents.len() as i32),
            next_continuation_token: last.filter(|_| is_truncated),
            is_truncated: Some(is_truncated),
            contents: Some(contents),
            ..ListObjectsV2Output::default()
        }))
    }
}

fn described((key, stored): (&String, &Stored)) -> Object {
    Object {
        key: Some(key.clone()),
        e_tag: Some(ETag::Strong(stored.e_tag.clone())),
        size: Some(stored.bytes.len() as i64),
        last_modified: Some(Timestamp::from(stored.modified)),
        ..Object::default()
    }
}
