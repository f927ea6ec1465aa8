//! A web server on loopback that answers as a test says, also wrongly, late or never.

#![allow(dead_code)] // each of its users needs a part

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::oneshot,
    time::sleep,
};

/// A request as the server read it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By names in lower case.
    pub headers: HashMap<String, String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: &'static str,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
}

/// A body, and how it is sent.
#[derive(Debug, Clone)]
pub enum Body {
    /// With its length, unless the headers have one.
    Whole(Vec<u8>),
    /// As `Whole`, after a wait.
    Late(Vec<u8>, Duration),
    /// Some bytes, then the end of the connection.
    Torn(Vec<u8>),
    /// These bytes again and again, with a pause before each.
    Endless(Vec<u8>, Duration),
    /// Not even a head.
    Silence,
}

impl Reply {
    pub fn ok(body: &[u8]) -> Self {
        Self { status: "200 OK", headers: Vec::new(), body: Body::Whole(body.to_owned()) }
    }

    pub fn status(status: &'static str) -> Self {
        Self { status, ..Self::ok(b"") }
    }

    pub fn redirect(to: impl Into<String>) -> Self {
        Self::status("302 Found").with("Location", to)
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(self, body: Body) -> Self {
        Self { body, ..self }
    }
}

/// A running server; it ends when it is dropped.
pub struct Web {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Connections>,
    _end: oneshot::Sender<()>,
}

#[derive(Default)]
struct Connections {
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Web {
    /// A server on a free port of 127.0.0.1.
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::on(0, answer)
    }

    /// A server on a port of 127.0.0.1.
    pub fn on(port: u16, answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let seen = Arc::<Mutex<Vec<Request>>>::default();
        let connections = Arc::<Connections>::default();
        let shared = Arc::new(Shared {
            answer: Box::new(answer),
            seen: Arc::clone(&seen),
            connections: Arc::clone(&connections),
        });
        std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(TcpListener::from_std(listener).unwrap(), shared) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, seen, connections, _end: end }
    }

    /// URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests until now.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Largest number of connections that were open together.
    pub fn most_connections(&self) -> usize {
        self.connections.most.load(SeqCst)
    }
}

struct Shared {
    answer: Box<dyn Fn(&Request) -> Reply + Send + Sync>,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<Connections>,
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let open = shared.connections.open.fetch_add(1, SeqCst) + 1;
            shared.connections.most.fetch_max(open, SeqCst);
            let _ = serve(stream, &shared).await;
            shared.connections.open.fetch_sub(1, SeqCst);
        });
    }
}

/// Answers the requests of a connection.
async fn serve(stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        shared.seen.lock().unwrap().push(request.clone());
        let reply = (shared.answer)(&request);
        if !send(stream.get_mut(), &request, reply).await? {
            return Ok(());
        }
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => return Ok(Some(Request { method, path, headers })),
        };
    }
}

/// Sends a reply. Returns whether the connection can be used again.
async fn send(stream: &mut TcpStream, request: &Request, reply: Reply) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {}\r\n", reply.status);
    reply.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    let has_length = reply.headers.iter().any(|(name, _)| *name == "Content-Length");
    let body = match reply.body {
        Body::Late(body, wait) => {
            sleep(wait).await;
            Body::Whole(body)
        }
        body => body,
    };
    match body {
        Body::Late(..) => unreachable!("it was waited for"),
        Body::Silence => std::future::pending().await,
        Body::Whole(body) => {
            if !has_length {
                head += &format!("Content-Length: {}\r\n", body.len());
            }
            let body = if request.method == "HEAD" { Vec::new() } else { body };
            stream.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).await?;
            Ok(true)
        }
        Body::Torn(body) => {
            stream.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).await?;
            Ok(false)
        }
        Body::Endless(chunk, pause) => {
            stream.write_all(&[head.as_bytes(), b"\r\n"].concat()).await?;
            loop {
                sleep(pause).await;
                stream.write_all(&chunk).await?;
            }
        }
    }
}
