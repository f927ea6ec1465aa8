//! A real Azurite on loopback, with its blobs in memory, ended when it is dropped.

use super::{Job, expect, python, repo, stdout, tools};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// As its documentation has them.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

const HELPER: &str = "tests/support/azure.py";

/// A server with one account, and in it one container.
pub struct Azurite {
    folder: tempfile::TempDir,
    /// With the account's name at its end.
    pub endpoint: String,
    server: Child,
}

impl Azurite {
    /// A running server. `None` where Azurite is missing and tests may be skipped.
    pub fn start() -> Option<Self> {
        if !tools::need(&tools::AZURITE) {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut node = Command::new("node");
        node.arg(repo().join(".azurite/node_modules/azurite/dist/src/blob/main.js"))
            .current_dir(folder.path());
        node.args([
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            "0",
            "--inMemoryPersistence",
            "--disableTelemetry",
        ]);
        node.args(["--silent", "--skipApiVersionCheck"]);
        let server = node.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap();
        let mut azurite = Self { folder, endpoint: String::new(), server };
        azurite.endpoint = format!("{}/{ACCOUNT}", azurite.address());
        azurite.put(&[]);
        Some(azurite)
    }

    /// The address that it says it listens at.
    fn address(&self) -> String {
        const SAYS: &str = "successfully listens on ";
        let since = Instant::now();
        loop {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            let lines = log.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(address) =
                lines.filter_map(|line| line.split_once(SAYS)).map(|(_, at)| at.trim()).next()
            {
                return address.to_owned();
            }
            assert!(since.elapsed() < Duration::from_secs(60), "Azurite does not start: {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Puts blobs: names with files, or only names for blobs that mark a folder.
    pub fn put(&self, blobs: &[(&str, Option<&Path>)]) {
        let mut put = python(HELPER);
        put.args(["put", &self.endpoint]);
        put.args(blobs.iter().map(|(name, file)| match file {
            Some(file) => format!("{name}={}", file.display()),
            None => (*name).to_owned(),
        }));
        expect(&mut put, 0);
    }

    /// A shared access signature with permissions like `rl`, until a time like `2999-01-01`.
    pub fn signature(&self, permissions: &str, expiry: &str) -> String {
        stdout(&expect(python(HELPER).args(["sas", permissions, expiry]), 0)).trim().to_owned()
    }

    /// Connection string of this server, as in Azure's portal.
    pub fn connection_string(&self) -> String {
        let endpoint = &self.endpoint;
        format!(
            "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"
        )
    }

    /// Brings a job's blobs to where the job's objects are looked for.
    pub fn bring(&self, job: &Job) {
        let prefix = job.url.strip_prefix("az://capfilt/").unwrap();
        expect(python(HELPER).args(["get", &self.endpoint, prefix]).arg(&job.objects), 0);
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
