//! A loopback server that speaks OpenAI's protocol and misbehaves as scripted.

#![allow(dead_code)] // two test programs use parts of it

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// A request as received.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method and path.
    pub line: String,
    pub authorization: Option<String>,
    pub body: serde_json::Value,
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A chat completion with this text.
    Caption(String),
    /// Status, a header line or nothing, and a body.
    Status(u16, &'static str, String),
    /// Nothing, for this time; then the connection ends.
    Silence(Duration),
    /// The head of an answer, and bytes without an end.
    Endless,
    /// The connection ends.
    Reset,
}

type Script = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server.
pub struct Server {
    pub port: u16,
    pub requests: Arc<Mutex<Vec<Request>>>,
    /// Largest number of chat requests that were answered at once.
    pub most_at_once: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<TcpStream>>>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

/// State of a server that its connections share.
struct Shared {
    script: Box<Script>,
    requests: Arc<Mutex<Vec<Request>>>,
    most_at_once: Arc<AtomicUsize>,
    at_once: AtomicUsize,
}

impl Server {
    /// Starts a server of the model `standin` on a free port.
    pub fn start(script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::at(0, script)
    }

    /// As [`start`](Self::start), on a port.
    pub fn at(port: u16, script: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, most_at_once) = (Arc::default(), Arc::default());
        let shared = Arc::new(Shared {
            script: Box::new(script),
            requests: Arc::clone(&requests),
            most_at_once: Arc::clone(&most_at_once),
            at_once: AtomicUsize::new(0),
        });
        let (is_stopped, connections) =
            (Arc::<AtomicBool>::default(), Arc::<Mutex<Vec<TcpStream>>>::default());
        let (ends, open) = (Arc::clone(&is_stopped), Arc::clone(&connections));
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        let listening = Mutex::new(Some(listening));
        Self { port, requests, most_at_once, is_stopped, connections, listening }
    }

    /// Base URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Chat requests so far.
    pub fn chats(&self) -> Vec<Request> {
        let all = self.requests.lock().unwrap();
        all.iter().filter(|request| request.line.starts_with("POST")).cloned().collect()
    }

    /// Ends all connections and accepts no further one.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        // The listener ends when it has accepted this.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(listening) = self.listening.lock().unwrap().take() {
            listening.join().unwrap();
        }
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Answers the requests of one connection.
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(request) = read(&mut reader) {
            self.requests.lock().unwrap().push(request.clone());
            let is_open = if request.line.starts_with("POST") {
                let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
                self.most_at_once.fetch_max(now, Ordering::SeqCst);
                let is_open = answer(reader.get_mut(), (self.script)(&request));
                self.at_once.fetch_sub(1, Ordering::SeqCst);
                is_open
            } else {
                answer(reader.get_mut(), models())
            };
            if !is_open {
                return;
            }
        }
    }
}

fn models() -> Reply {
    Reply::Status(200, "", r#"{"object":"list","data":[{"id":"standin"}]}"#.to_owned())
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
    let (mut length, mut authorization) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|bytes| *bytes > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let line = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    Some(Request { line, authorization, body })
}

/// Sends a reply; false if the connection ends.
fn answer(stream: &mut TcpStream, reply: Reply) -> bool {
    let whole = |stream: &mut TcpStream, status: u16, header: &str, body: &str| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{header}\r\n{body}");
        stream.write_all(head.as_bytes()).is_ok()
    };
    match reply {
        Reply::Caption(text) => {
            let message = serde_json::json!({"role": "assistant", "content": text});
            let body = serde_json::json!({"choices": [{"message": message, "finish_reason": "stop"}]});
            whole(stream, 200, "", &body.to_string())
        }
        Reply::Status(status, header, body) => {
            let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
            whole(stream, status, &header, &body)
        }
        Reply::Silence(time) => {
            std::thread::sleep(time);
            false
        }
        Reply::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\ncontent-length: 99999999999\r\n\r\n");
            while stream.write_all(&[b' '; 65_536]).is_ok() {}
            false
        }
        Reply::Reset => false,
    }
}
