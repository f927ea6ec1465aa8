//! A real nats-server on loopback, with its files in a temporary folder, ended when it is dropped.

use super::tools;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server, with JetStream and file storage unless a test wants none.
pub struct Nats {
    pub folder: tempfile::TempDir,
    port: u16,
    monitor: u16,
    /// Lines of its configuration: users, TLS, the cluster it belongs to.
    settings: String,
    has_jetstream: bool,
    server: Option<Child>,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Nats {
    /// A running server. `None` where nats-server is missing and tests may be skipped.
    pub fn start() -> Option<Self> {
        Self::with("")
    }

    /// A server as packages start it.
    pub fn without_jetstream() -> Option<Self> {
        Self::configured("", false)
    }

    pub fn with(settings: &str) -> Option<Self> {
        Self::configured(settings, true)
    }

    fn configured(settings: &str, has_jetstream: bool) -> Option<Self> {
        if !tools::need(&tools::NATS) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (port, monitor) = (free_port(), free_port());
        let mut nats =
            Self { folder, port, monitor, settings: settings.to_owned(), has_jetstream, server: None };
        nats.up();
        Some(nats)
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts the server at the same place, with the files it left.
    pub fn up(&mut self) {
        let config = self.folder.path().join("nats.conf");
        let (port, monitor, store) = (self.port, self.monitor, self.store().display().to_string());
        let jetstream = if self.has_jetstream {
            format!("jetstream {{ store_dir: \"{store}\" }}")
        } else {
            String::new()
        };
        let settings = &self.settings;
        let text =
            format!("host: 127.0.0.1\nport: {port}\nhttp: 127.0.0.1:{monitor}\n{jetstream}\n{settings}\n");
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let server =
            Command::new("nats-server").arg("-c").arg(config).stderr(log).stdout(Stdio::null()).spawn();
        self.server = Some(server.unwrap());
        let since = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(since.elapsed() < Duration::from_secs(30), "nats-server does not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills the server; its files stay.
    pub fn down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Removes everything the server kept; it must be down.
    pub fn wipe(&self) {
        let _ = std::fs::remove_dir_all(self.store());
    }

    /// Answer of the server's monitor at this path; `None` if the server is down.
    fn monitored(&self, path: &str) -> Option<serde_json::Value> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.monitor)).ok()?;
        write!(socket, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        Some(serde_json::from_str(body).unwrap())
    }

    /// The one job queue of the server, with its settings and its consumer; `None` when it has none, or is
    /// down.
    pub fn queue(&self) -> Option<serde_json::Value> {
        let all = self.monitored("/jsz?accounts=true&streams=true&consumers=true&config=true")?;
        let streams = all["account_details"][0]["stream_detail"].as_array()?;
        assert!(streams.len() <= 1, "{streams:?}");
        streams.first().cloned()
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.down();
    }
}
