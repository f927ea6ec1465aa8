//! The server over a real job, by requests over real sockets.

use super::*;
use crate::access::Token;
use std::path::{Path, PathBuf};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const TOKEN: &str = "a-token-of-the-tests";

/// A server over a copy of the job in `tests/data/compat`, which an earlier release finished.
struct Page {
    folder: tempfile::TempDir,
    address: SocketAddr,
    app: Arc<App>,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy(&path, &to.join(name))
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

impl Page {
    /// `listen` decides who may read; the socket itself is on loopback.
    async fn at(listen: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let job = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/compat/job");
        copy(&job, folder.path());
        let bucket = Location::open_without_links(folder.path().to_str().unwrap()).unwrap();
        let local = Access::new("127.0.0.1:0".parse().unwrap(), Token::chosen(TOKEN), &[]).unwrap();
        let server = Server::open(bucket, local, None, None).await.unwrap();
        let access = Access::new(listen.parse().unwrap(), Token::chosen(TOKEN), &[]).unwrap();
        let server = Server { access: Arc::new(access), ..server };
        let (address, app) = (server.bound, Arc::clone(&server.app));
        tokio::spawn(server.run());
        Self { folder, address, app }
    }

    async fn local() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// Sends a request and returns the whole answer. Without a `host` header it names this server.
    async fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> String {
        String::from_utf8(self.bytes(method, path, headers, body).await).unwrap()
    }

    async fn bytes(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Vec<u8> {
        let host = format!("host: {}", self.address);
        let mut headers = headers.to_vec();
        if !headers.iter().any(|header| header.starts_with("host:")) {
            headers.push(&host);
        }
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\n{}\r\nconnection: close\r\ncontent-length: {length}\r\n\
             content-type: application/x-www-form-urlencoded\r\n\r\n{body}",
            headers.join("\r\n")
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Events never end: the first part is enough.
        let mut part = [0; 65536];
        while let Ok(read @ 1..) = stream.read(&mut part).await {
            answer.extend_from_slice(&part[..read]);
            if path == "/events" && String::from_utf8_lossy(&answer).contains("event: texts") {
                break;
            }
        }
        answer
    }

    async fn get(&self, path: &str) -> String {
        self.ask("GET", path, &[], "").await
    }

    fn records(&self) -> usize {
        let count = |name: &str| std::fs::read_dir(self.folder.path().join(name)).map_or(0, Iterator::count);
        count("controls") + count("retries")
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("")
}

const SAME_ORIGIN: &str = "sec-fetch-site: same-origin";

#[tokio::test]
async fn no_route_changes_anything_without_the_token() {
    let page = Page::local().await;
    let own = [SAME_ORIGIN, "origin: null"];
    for (path, _) in routes::table() {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for body in ["action=pause", "action=pause&token=", "action=pause&token=a-token-of-the-test"] {
                let answer = page.ask(method, path, &own, body).await;
                assert_eq!(status(&answer), "403", "{method} {path} {body}: {answer}");
                assert!(answer.contains("Nothing was changed"), "{answer}");
            }
            let wrong = [own[0], own[1], "authorization: Bearer a-token-of-the-test"];
            let answer = page.ask(method, path, &wrong, "action=pause").await;
            assert_eq!(status(&answer), "403", "{method} {path}: {answer}");
        }
        let query = format!("{path}?token={TOKEN}");
        assert_eq!(
            status(&page.ask("POST", &query, &own, "action=pause").await),
            "403",
            "a token in an address"
        );
    }
    assert_eq!(page.records(), 0);
    let form = format!("action=pause&token={TOKEN}");
    let answer = page.ask("POST", "/control", &own, &form).await;
    assert!(status(&answer) == "303" && answer.contains("location: /?done=pause"), "{answer}");
    let bearer = format!("authorization: Bearer {TOKEN}");
    assert_eq!(status(&page.ask("POST", "/control", &[&bearer], "action=drain").await), "303");
    assert_eq!(page.records(), 2);
    let unknown = page.ask("POST", "/control", &[&bearer], "action=delete").await;
    assert_eq!(status(&unknown), "422", "{unknown}");
    let retried = page.ask("POST", "/retry", &[&bearer], "").await;
    assert!(retried.contains("location: /?done=retry"), "{retried}");
    assert_eq!(page.records(), 3);
}

#[tokio::test]
async fn another_host_and_another_site_are_refused_on_every_route() {
    let page = Page::local().await;
    let bearer = format!("authorization: Bearer {TOKEN}");
    for (path, _) in routes::table() {
        for host in ["host: evil.example", "host: 127.0.0.1.evil.example:80", "host: 10.1.1.1"] {
            assert_eq!(status(&page.ask("GET", path, &[host], "").await), "421", "{path} {host}");
            assert_eq!(status(&page.ask("POST", path, &[host, &bearer], "action=pause").await), "421");
        }
        for site in ["sec-fetch-site: cross-site", "sec-fetch-site: same-site", "origin: http://evil.example"]
        {
            let form = format!("action=pause&token={TOKEN}");
            let answer = page.ask("POST", path, &[site, &bearer], &form).await;
            assert!(status(&answer) == "403" && answer.contains("Another site"), "{path} {site}: {answer}");
        }
        let framed = ["sec-fetch-site: cross-site", "sec-fetch-dest: iframe"];
        assert_eq!(status(&page.ask("GET", path, &framed, "").await), "403", "{path}");
    }
    assert_eq!(page.records(), 0);
}

#[tokio::test]
async fn every_answer_forbids_frames_inline_scripts_and_storage() {
    let page = Page::local().await;
    let mut answers = vec![page.get("/nothing").await, page.ask("GET", "/", &["host: evil"], "").await];
    for (path, _) in routes::table() {
        answers.push(page.get(path).await);
    }
    for answer in answers {
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'",
            "frame-ancestors 'none'",
            "x-frame-options: DENY",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(answer.contains(header), "{header} is missing:\n{answer}");
        }
        let inline = answer.contains("<script>") || answer.contains(" onclick") || answer.contains(" style=");
        assert!(!inline && !answer.contains(TOKEN), "{answer}");
    }
}

#[tokio::test]
async fn beyond_loopback_reading_needs_the_token_too() {
    use base64::Engine as _;
    let page = Page::at("0.0.0.0:0").await;
    for (path, _) in routes::table() {
        let answer = page.get(path).await;
        assert!(status(&answer) == "401" && answer.contains("www-authenticate: Basic"), "{path}: {answer}");
    }
    let password = base64::engine::general_purpose::STANDARD.encode(format!("me:{TOKEN}"));
    let answer = page.ask("GET", "/", &[&format!("authorization: Basic {password}")], "").await;
    assert_eq!(status(&answer), "200", "{answer}");
}

#[tokio::test]
async fn the_page_has_the_job_without_a_script_and_the_events_have_every_section() {
    let page = Page::local().await;
    let live = page.get("/").await;
    assert!(live.contains("The job is done") && live.contains("of the rows"), "{live}");
    let events = page.get("/events").await;
    for section in ["state", "progress", "workers", "shards", "texts"] {
        assert!(live.contains(&format!("<section id=\"{section}\"")), "{section}\n{live}");
        assert!(events.contains(&format!("event: {section}\ndata: ")), "{section}\n{events}");
    }
    assert!(page.get("/live.js").await.contains("text/javascript"));
    assert!(page.get("/?done=pause").await.contains("The job is paused."));
    assert!(!page.get("/?done=%3Cscript%3E").await.contains("script>alert"));
}

#[tokio::test]
async fn texts_are_found_and_a_row_is_shown_by_its_address() {
    let page = Page::local().await;
    let found = page.get("/search?q=.&kind=regex").await;
    assert!(found.contains("rows found in") && found.contains("<article>"), "{found}");
    let link = found.split("href=\"/row?address=").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let row = page.get(&format!("/row?address={link}")).await;
    assert!(status(&row) == "200" && row.contains("<pre ") && row.contains("P(match)"), "{row}");
    assert_eq!(status(&page.get("/row?key=no+such+key").await), "404");
    assert_eq!(status(&page.get("/row?address=x").await), "400");
    let bad = page.get("/search?q=(&kind=regex").await;
    assert!(status(&bad) == "400" && bad.contains("not a regular expression"), "{bad}");
    assert_eq!(status(&page.get("/search?q=").await), "400");
    let hostile = page.get("/search?q=%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(hostile.contains("&lt;script&gt;") && !hostile.contains("<script>"), "{hostile}");
}

#[tokio::test]
async fn requests_watchers_and_searches_are_bounded() {
    let page = Page::local().await;
    let own = [SAME_ORIGIN];
    assert_eq!(status(&page.ask("POST", "/control", &own, &"a".repeat(17 << 10)).await), "413");
    let long = page.get(&format!("/search?q={}", "a".repeat(20 << 10))).await;
    assert!(status(&long) == "431" || status(&long) == "414", "{long}");
    let watchers = page.app.watchers.try_acquire_many(crate::events::WATCHERS as u32).unwrap();
    assert_eq!(status(&page.get("/events").await), "503");
    drop(watchers);
    let searches = page.app.searches.try_acquire_many(2).unwrap();
    assert_eq!(status(&page.get("/search?q=a").await), "503");
    assert_eq!(status(&page.get("/row?key=a").await), "503");
    drop(searches);
    assert_eq!(status(&page.get("/search?q=a").await), "200");
}

/// Addresses of the pictures of a page.
fn pictures_of(page: &str) -> Vec<String> {
    let sources = page.split("src=\"/picture?").skip(1).filter_map(|rest| rest.split('"').next());
    sources.map(|query| format!("/picture?{}", query.replace("&amp;", "&"))).collect()
}

#[tokio::test]
async fn a_kept_row_has_a_picture_and_one_that_cannot_be_had_says_why() {
    let page = Page::local().await;
    let found = page.get("/search?q=.&kind=regex").await;
    let (mut pictures, mut reasons) = (0, 0);
    for path in pictures_of(&found) {
        let answer = page.bytes("GET", &path, &[], "").await;
        let text = String::from_utf8_lossy(&answer);
        assert!(text.contains("x-content-type-options: nosniff") && text.contains("default-src 'none'"));
        match status(&text) {
            "200" => {
                assert!(text.contains("content-type: image/jpeg"), "{text}");
                assert!(answer.windows(3).any(|bytes| bytes == [0xff, 0xd8, 0xff]) && answer.len() < 13_000);
                pictures += 1;
            }
            // The input of the job is not on this machine.
            "404" => {
                assert!(text.contains("content-type: image/svg+xml") && text.contains("</text>"), "{text}");
                reasons += 1;
            }
            _ => panic!("{text}"),
        }
    }
    assert!(pictures > 0 && reasons > 0, "{pictures} pictures, {reasons} reasons");
    for wrong in ["", "?shard=x&commit=0&row=1", "?shard=../../job.json&commit=0&row=0"] {
        assert_eq!(status(&page.get(&format!("/picture{wrong}")).await), "400", "{wrong}");
    }
    let nowhere = page.get("/picture?shard=0123456789abcdef0123&commit=0&row=1").await;
    assert!(status(&nowhere) == "404" && nowhere.contains("no image"), "{nowhere}");
}
