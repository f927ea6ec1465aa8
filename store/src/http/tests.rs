use super::*;
use crate::{cloud::Cloud, environment::Value, open};
use object_store::{ObjectStoreExt as _, PutPayload, path::Path};
use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
    sync::Mutex,
};

/// Bytes per read.
const PIECE: usize = 16 << 10;

/// A store that accepts every request, and reads requests over a slow line that all connections share.
#[derive(Clone)]
struct Slow {
    bytes_per_second: usize,
    line: Arc<Mutex<()>>,
    requests: Arc<AtomicUsize>,
}

impl Slow {
    async fn start(bytes_per_second: usize) -> (Self, SocketAddr) {
        let slow = Self { bytes_per_second, line: Arc::default(), requests: Arc::default() };
        let socket = TcpSocket::new_v4().unwrap();
        // A small buffer: otherwise the system takes megabytes at once. Larger than loopback's segments of 64
        // kB: otherwise the window stalls.
        socket.set_recv_buffer_size(1 << 18).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(64).unwrap();
        let (address, serving) = (listener.local_addr().unwrap(), slow.clone());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(connection));
            }
        });
        (slow, address)
    }

    async fn serve(self, connection: TcpStream) {
        let mut connection = BufReader::with_capacity(PIECE, connection);
        loop {
            let mut left = 0;
            loop {
                let mut line = String::new();
                if connection.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                if let Some(length) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    left = length.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            self.requests.fetch_add(1, Ordering::SeqCst);
            let mut piece = vec![0; PIECE];
            while left > 0 {
                let line = self.line.lock().await;
                let Ok(read @ 1..) = connection.read(&mut piece).await else { return };
                left -= read;
                tokio::time::sleep(Duration::from_secs_f64(read as f64 / self.bytes_per_second as f64)).await;
                drop(line);
            }
            let answer = "HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n";
            if connection.get_mut().write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn store(address: SocketAddr, patience: &str) -> open::Remote {
    let values = [
        ("aws_endpoint", format!("http://{address}")),
        ("aws_allow_http", "true".to_owned()),
        ("aws_skip_signature", "true".to_owned()),
        ("aws_timeout", patience.to_owned()),
        ("aws_proxy_excludes", "127.0.0.1".to_owned()),
    ];
    let said = values.map(|(key, text)| (key.to_owned(), Value { text, from: "the test".to_owned() })).into();
    open::open(Cloud::S3, &"s3://bucket/x".parse().unwrap(), &said, Arc::default()).unwrap()
}

/// Uploads `parts` parts of 8 MiB at the same time.
async fn upload(store: &open::Remote, parts: usize) {
    let sent = (0..parts).map(|at| {
        let parts = Arc::clone(&store.parts);
        let payload = PutPayload::from(vec![7; 8 << 20]);
        async move { parts.put_part(&Path::from("x"), &"id".to_owned(), at, payload).await }
    });
    for sent in futures::future::join_all(sent).await {
        sent.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_over_a_slow_line_are_not_given_up_while_they_make_progress() {
    // Both parts share the line and take eight seconds, with a patience of three. Linux holds up to 4 MiB of
    // a connection and takes more when a third of them is sent: after a second and a third here.
    let (slow, address) = Slow::start(2 << 20).await;
    let since = Instant::now();
    upload(&store(address, "3s"), 2).await;
    assert!(since.elapsed() > Duration::from_secs(6), "{:?}: the line is not slow", since.elapsed());
    assert_eq!(slow.requests.load(Ordering::SeqCst), 2, "a part was sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_starve_each_other_continue_with_fewer_at_once_and_all_arrive() {
    // With eight at once a connection progresses every 0.7 seconds, longer than the patience; with four, in
    // time.
    let (_, address) = Slow::start(16 << 20).await;
    upload(&store(address, "500ms"), 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_takes_a_request_and_never_answers_is_given_up_with_the_cause() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let store = store(silent.local_addr().unwrap(), "50ms");
    let error = store.store.head(&Path::from("x")).await.unwrap_err();
    assert_eq!(crate::FaultKind::of(&error), crate::FaultKind::Silent, "{error}");
    assert!(crate::fault::in_full(&error).contains("no progress for"), "{error}");
}
