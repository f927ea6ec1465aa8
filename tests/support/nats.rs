//! A real nats-server on loopback, with its files in a temporary folder, ended when it is dropped.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server with JetStream and file storage.
pub struct Nats {
    folder: tempfile::TempDir,
    port: u16,
    /// Lines of its configuration: users, TLS.
    settings: String,
    server: Option<Child>,
}

impl Nats {
    /// A running server, or `None` (and a line that says so) where nats-server is not installed.
    pub fn start() -> Option<Self> {
        Self::with("")
    }

    pub fn with(settings: &str) -> Option<Self> {
        if Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("SKIPPED: nats-server is not installed (Debian and Ubuntu: apt-get install nats-server)");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let mut nats = Self { folder, port, settings: settings.to_owned(), server: None };
        nats.up();
        Some(nats)
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts the server at the same place, with the files it left.
    pub fn up(&mut self) {
        let config = self.folder.path().join("nats.conf");
        let (port, store) = (self.port, self.store().display().to_string());
        let text =
            format!("host: 127.0.0.1\nport: {port}\njetstream {{ store_dir: \"{store}\" }}\n{}\n", self.settings);
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let server = Command::new("nats-server").arg("-c").arg(config).stderr(log).stdout(Stdio::null()).spawn();
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
