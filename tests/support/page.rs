//! The live page as a browser without a script uses it: requests over a socket, and its events.

use super::{
    Job,
    process::{Process, wait_until},
};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    sync::{Arc, Mutex},
    time::Instant,
};

pub const TOKEN: &str = "a-token-of-the-tests";

/// A running `capfilt serve`.
pub struct Page {
    pub process: Process,
    pub address: String,
}

impl Page {
    /// Serves a job, which must exist, at a free port.
    pub fn serve(job: &Job, name: &str) -> Self {
        Self::serve_with(job, name, &[])
    }

    /// Serves a job with further arguments.
    pub fn serve_with(job: &Job, name: &str, arguments: &[&str]) -> Self {
        let mut command = job.command_by_url("serve");
        command.args(arguments);
        command.args(["--listen", "127.0.0.1:0", "--token-env", "PAGE_TOKEN"]).env("PAGE_TOKEN", TOKEN);
        let mut process = Process::start(job, name, &mut command);
        process.wait_for("/\n");
        let log = process.log();
        let address = log.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
        Self { process, address }
    }

    pub fn ask(&self, request: &str, headers: &str, body: &str) -> String {
        let mut stream = self.send(request, headers, body);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn send(&self, request: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, body.len());
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\
             content-type: application/x-www-form-urlencoded\r\n{headers}\r\n{body}"
        )
        .unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path}"), "", "")
    }

    /// Submits the form of the controls, as a browser does.
    pub fn control(&self, action: &str) -> String {
        let form = format!("action={action}&token={TOKEN}");
        self.ask("POST /control", "sec-fetch-site: same-origin\r\norigin: null\r\n", &form)
    }

    /// Watches the events in a thread, which ends with the page.
    pub fn watch(&self) -> Watcher {
        let lines = BufReader::new(self.send("GET /events", "", "")).lines();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watcher = Watcher(Arc::clone(&seen));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok).filter(|line| line.starts_with("data:")) {
                seen.lock().unwrap().push((Instant::now(), line));
            }
        });
        watcher
    }
}

/// Data of the events so far, with the times of their arrival.
#[derive(Clone)]
pub struct Watcher(pub Arc<Mutex<Vec<(Instant, String)>>>);

impl Watcher {
    /// Committed shards according to each event of the progress.
    pub fn committed(&self) -> Vec<(Instant, usize)> {
        let seen = self.0.lock().unwrap();
        seen.iter().filter_map(|(at, html)| Some((*at, committed_in(html)?))).collect()
    }

    pub fn wait_for(&self, text: &str) {
        wait_until(|| self.0.lock().unwrap().iter().any(|(_, html)| html.contains(text)));
    }
}

/// The second number of the row of shards.
fn committed_in(html: &str) -> Option<usize> {
    let row = html.split("<th scope=\"row\">shards</th>").nth(1)?;
    row.split("<td>").nth(2)?.split('<').next()?.parse().ok()
}
