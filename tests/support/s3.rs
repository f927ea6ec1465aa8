//! S3 on loopback: a server over a folder, in this process, gone when it is dropped.
//!
//! s3s speaks the protocol and checks signatures; s3s-fs keeps the objects as plain files, where a test may
//! read them and spoil them. What the product relies on and s3s-fs lacks is added here: listings have ETags,
//! GET honours If-Match, of several creates of one object exactly one wins, and a folder is not an object.

pub mod faults;
pub mod gateway;
pub mod odd;
mod store;
pub mod uploads;

use faults::Faults;
use gateway::Gateway;
use odd::OddObjects;
use s3s::{
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};
use store::Store;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use uploads::Uploads;

const BUCKET: &str = "capfilt";
const ACCESS_KEY: &str = "AKIDOFTHETESTS";
pub const SECRET_KEY: &str = "the secret of the tests";

/// Whether the server does what `If-None-Match: *` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creates {
    Heeded,
    /// As a store that does not know conditional writes.
    Ignored,
}

/// Method and target of all requests that came in.
type Requests = Arc<Mutex<Vec<String>>>;

/// A running server with one bucket.
pub struct S3 {
    folder: tempfile::TempDir,
    endpoint: String,
    requests: Requests,
    /// Faults of the next calls.
    pub faults: Faults,
    /// Objects that cannot be files.
    pub odd: OddObjects,
    pub uploads: Uploads,
    /// Redirects of reads.
    pub gateway: Gateway,
    is_read_only: Arc<AtomicBool>,
    is_down: Arc<AtomicBool>,
    hides_missing: Arc<AtomicBool>,
    ignores_if_match: Arc<AtomicBool>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl S3 {
    pub fn start() -> Self {
        Self::with(Creates::Heeded)
    }

    pub fn with(creates: Creates) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let files = FileSystem::new(folder.path()).unwrap();
        let is_read_only = Arc::<AtomicBool>::default();
        let (odd, uploads) = (OddObjects::default(), Uploads::default());
        let hides_missing = Arc::<AtomicBool>::default();
        let ignores_if_match = Arc::<AtomicBool>::default();
        let mut service = S3ServiceBuilder::new(Store {
            odd: odd.clone(),
            uploads: uploads.clone(),
            hides_missing: Arc::clone(&hides_missing),
            is_read_only: Arc::clone(&is_read_only),
            ignores_if_match: Arc::clone(&ignores_if_match),
            root: folder.path().to_owned(),
            files,
            creates,
            creating: tokio::sync::Mutex::default(),
        });
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let (requests, faults) = (Requests::default(), Faults::default());
        let (stop, stopped) = oneshot::channel();
        let (log, faulty) = (Arc::clone(&requests), faults.clone());
        let gateway = Gateway::default();
        let redirects = (gateway.clone(), folder.path().to_owned());
        let is_down = Arc::<AtomicBool>::default();
        let down = Arc::clone(&is_down);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                // Connections end with the runtime, open or not.
                tokio::select! {
                    () = serve(listener, service, log, faulty, down, redirects) => {}, _ = stopped => {}
                }
            });
        });
        Self {
            folder,
            endpoint,
            requests,
            faults,
            odd,
            uploads,
            gateway,
            is_read_only,
            is_down,
            hides_missing,
            ignores_if_match,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Refuses all writes from now on.
    pub fn forbid_writing(&self) {
        self.is_read_only.store(true, Ordering::Relaxed);
    }

    /// From now on an object that is not there is answered with 403, as to those who may not list the whole
    /// bucket.
    pub fn hide_what_is_missing(&self) {
        self.hides_missing.store(true, Ordering::Relaxed);
    }

    /// From now on every connection is reset.
    pub fn go_down(&self) {
        self.is_down.store(true, Ordering::Relaxed);
    }

    pub fn come_up(&self) {
        self.is_down.store(false, Ordering::Relaxed);
    }

    /// Ignores `If-Match` on reads from now on, as some gateways do.
    pub fn ignore_if_match(&self) {
        self.ignores_if_match.store(true, Ordering::Relaxed);
    }

    /// The URL of an object or a prefix.
    pub fn url(&self, key: &str) -> String {
        format!("s3://{BUCKET}/{key}")
    }

    /// The file an object is.
    pub fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }

    /// Puts a file into the bucket.
    pub fn put(&self, key: &str, from: &Path) {
        let to = self.file(key);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }

    /// Puts a folder's files into the bucket.
    pub fn put_folder(&self, prefix: &str, from: &Path) {
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            self.put(&format!("{prefix}/{}", entry.file_name().to_str().unwrap()), &entry.path());
        }
    }

    /// Requests so far whose method and target contain this.
    pub fn requests(&self, about: &str) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.contains(about)).count()
    }

    /// Environment variables of this server for a command: endpoint and credentials.
    pub fn env(&self) -> Vec<(String, String)> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            // A proxy for the rest of the world leads nowhere from here.
            ("NO_PROXY", "127.0.0.1,localhost"),
        ];
        variables.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // A server that panicked has reported the panic and needs no stop.
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn serve(
    listener: TcpListener,
    service: S3Service,
    requests: Requests,
    faults: Faults,
    is_down: Arc<AtomicBool>,
    redirects: (Gateway, PathBuf),
) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        let (is_down, (gateway, root)) = (Arc::clone(&is_down), redirects.clone());
        let (service, requests, faults) = (service.clone(), Arc::clone(&requests), faults.clone());
        let (socket, of_faults) = twice(socket);
        let counted = hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
            requests.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
            let (service, faults, socket) = (service.clone(), faults.clone(), Arc::clone(&of_faults));
            let serve = move |request| hyper::service::Service::call(&service, request);
            let is_down = is_down.load(Ordering::Relaxed);
            let redirected = gateway.answer(&request, &root);
            async move {
                if is_down {
                    return Err(faults::reset(&socket));
                }
                match redirected {
                    Some(answer) => Ok(answer),
                    None => faults.answer(request, &socket, serve).await,
                }
            }
        });
        let socket = hyper_util::rt::TokioIo::new(socket);
        // A client that is killed leaves a broken connection; that is what the tests are about.
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(socket, counted));
    }
}

/// A connection of the server, which a fault may break.
fn twice(socket: TcpStream) -> (TcpStream, Arc<TcpStream>) {
    let socket = socket.into_std().unwrap();
    let other = socket.try_clone().unwrap();
    (TcpStream::from_std(socket).unwrap(), Arc::new(TcpStream::from_std(other).unwrap()))
}
