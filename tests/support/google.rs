//! A real fake-gcs-server on loopback, with files that lie there before it starts, ended when it is dropped.

use super::{nats::free_port, tools};
use std::{
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A server with the bucket `capfilt`.
pub struct Google {
    /// Host and port, as `STORAGE_EMULATOR_HOST` has them.
    pub host: String,
    server: Child,
}

impl Google {
    /// A running server over a folder that has a folder `capfilt`. `None` where it is missing and may be.
    pub fn over(folder: &Path) -> Option<Self> {
        if !tools::need(&tools::STORES) {
            return None;
        }
        let port = free_port();
        let host = format!("127.0.0.1:{port}");
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = Command::new(tools::fake_gcs_server().unwrap());
        command.args([
            "-scheme",
            "http",
            "-backend",
            "memory",
            "-host",
            "127.0.0.1",
            "-port",
            &port.to_string(),
        ]);
        command.args(["-public-host", &host]).arg("-data").arg(folder).stdin(Stdio::null());
        let server = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let since = Instant::now();
        while TcpStream::connect(&host).is_err() {
            assert!(since.elapsed() < Duration::from_secs(60), "fake-gcs-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(Self { host, server })
    }
}

impl Drop for Google {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
