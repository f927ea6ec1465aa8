//! Each kind of bad answer has its result, and none holds a request for ever.

use super::{
    IMAGE, MOST, fetch, fetcher, link, settings, try_fetch,
    web::{Body, Reply, Request, Web},
};
use crate::Fetched;
use capfilt_schemas::settings::{Links, Private};
use futures::future::join_all;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(1);

/// A hundredth of a second, in which an endless body sends some bytes.
const PAUSE: Duration = Duration::from_millis(10);

fn answer(request: &Request) -> Reply {
    let ok = Reply::ok(IMAGE);
    match request.path.as_str() {
        "/image" | "/plain?x=%20y" => ok,
        "/typed" => ok.with("Content-Type", "text/html"),
        "/page" => Reply::ok(b"<html>gone</html>").with("Content-Type", "text/html; charset=utf-8"),
        "/json" => Reply::ok(b"{\"error\": 404}").with("Content-Type", "application/json"),
        "/empty" => Reply::ok(b""),
        "/204" => Reply::status("204 No Content"),
        "/404" => Reply::status("404 Not Found"),
        "/403" => Reply::status("403 Forbidden"),
        "/410" => Reply::status("410 Gone"),
        "/500" => Reply::status("500 Internal Server Error"),
        "/206" => Reply { status: "206 Partial Content", ..ok },
        "/loop" => Reply::redirect("/loop"),
        "/a" => Reply::redirect("/b"),
        "/b" => Reply::redirect("/a"),
        "/hop/0" => Reply::redirect("/image"),
        path if path.starts_with("/hop/") => {
            let n: u32 = path[5..].parse().unwrap();
            Reply::redirect(format!("/hop/{}", n - 1))
        }
        "/file" => Reply::redirect("file:///etc/passwd"),
        "/data" => Reply::redirect("data:image/png;base64,iVBORw0KGgo="),
        "/ftp" => Reply::redirect("ftp://127.0.0.1/x"),
        "/user" => Reply::redirect("http://user:secret@127.0.0.1/x"),
        "/nowhere" => Reply::status("302 Found"),
        "/garbage" => Reply::redirect("http://[not an address/"),
        "/metadata" => Reply::redirect("http://169.254.169.254/latest/meta-data"),
        "/private" => Reply::redirect("http://10.0.0.1/"),
        "/mapped" => Reply::redirect("http://[::ffff:169.254.169.254]/"),
        "/other-loopback" => Reply::redirect("http://127.0.0.2:1/"),
        "/decimal" => Reply::redirect("http://2130706434/"),
        "/long" => ok.with("Content-Length", (MOST + 1).to_string()),
        "/much" => Reply::ok(&[0xFF; MOST as usize + 1]),
        "/huge" => ok.with("Content-Length", u64::MAX.to_string()),
        "/no-length" => ok.with("Content-Length", "x"),
        "/endless" => ok.body(Body::Endless(vec![0xFF; 64 << 10], SOON)),
        "/trickle" => ok.body(Body::Endless(vec![0xFF], PAUSE)),
        "/pause" => ok.body(Body::Endless(vec![0xFF], Duration::from_secs(60))),
        "/silent" => ok.body(Body::Silence),
        "/torn" => ok.with("Content-Length", "1000").body(Body::Torn(vec![0xFF; 10])),
        "/torn-chunk" => {
            ok.with("Transfer-Encoding", "chunked").body(Body::Torn(b"5\r\nabcde\r\nff".to_vec()))
        }
        "/until-closed" => ok.body(Body::Torn(IMAGE.to_vec())),
        "/no-http" => Reply { status: "999999 \u{1}", ..ok },
        "/gzip" => ok.with("Content-Encoding", "gzip"),
        "/identity" => ok.with("Content-Encoding", "identity"),
        "/noai" => ok.with("X-Robots-Tag", "noai, noimageai"),
        "/noindex" => ok.with("X-Robots-Tag", "nofollow").with("X-Robots-Tag", "noindex"),
        "/none-of-us" => ok.with("X-Robots-Tag", "otherbot: noindex"),
        "/for-us" => ok.with("X-Robots-Tag", "capfilt: noimageindex"),
        "/noai-redirect" => Reply::redirect("/image").with("X-Robots-Tag", "noai"),
        other => panic!("{other}"),
    }
}

/// Beginning of the name of a result, and a part of its reason.
const EXPECTED: [(&str, &str, &str); 49] = [
    ("/image", "Bytes", ""),
    ("/plain?x=%20y", "Bytes", ""),
    ("/typed", "Bytes", ""),
    ("/page", "Unreachable", "the answer is text/html, not an image"),
    ("/json", "Unreachable", "the answer is application/json"),
    ("/empty", "Unreachable", "no bytes"),
    ("/204", "Unreachable", "HTTP 204"),
    ("/404", "Unreachable", "127.0.0.1: HTTP 404 Not Found"),
    ("/403", "Unreachable", "HTTP 403"),
    ("/410", "Unreachable", "HTTP 410"),
    ("/500", "Unreachable", "HTTP 500"),
    ("/206", "Unreachable", "HTTP 206"),
    ("/loop", "Unreachable", "more than 5 redirects"),
    ("/a", "Unreachable", "more than 5 redirects"),
    ("/hop/4", "Bytes", ""),
    ("/hop/5", "Unreachable", "more than 5 redirects"),
    ("/file", "Refused", "redirect: the scheme is file"),
    ("/data", "Refused", "the scheme is data"),
    ("/ftp", "Refused", "the scheme is ftp"),
    ("/user", "Refused", "a user name or a password"),
    ("/nowhere", "Unreachable", "without a Location"),
    ("/garbage", "Refused", "redirect to no URL"),
    ("/metadata", "Refused", "169.254.169.254 is not an address of the public internet"),
    ("/private", "Refused", "10.0.0.1 is not"),
    ("/mapped", "Refused", "169.254.169.254 is not"),
    ("/other-loopback", "Refused", "127.0.0.2 is not"),
    ("/decimal", "Refused", "127.0.0.2 is not"),
    ("/long", "TooLarge", "it has 1048577 bytes; limits.image_bytes is 1048576"),
    ("/much", "TooLarge", "it has 1048577 bytes"),
    ("/huge", "", ""),
    ("/no-length", "Unreachable", ""),
    ("/endless", "TooLarge", "it has more than 1048576 bytes"),
    ("/trickle", "Unreachable", "not finished within 3 s"),
    ("/pause", "Unreachable", "the body pauses for 1 s"),
    ("/silent", "Unreachable", "within"),
    ("/torn", "Unreachable", "the body is incomplete"),
    ("/torn-chunk", "Unreachable", "the body is incomplete"),
    ("/until-closed", "Bytes", ""),
    ("/no-http", "Unreachable", "no answer"),
    ("/gzip", "Unreachable", "compressed"),
    ("/identity", "Bytes", ""),
    ("/noai", "Refused", "X-Robots-Tag: noai"),
    ("/noindex", "Refused", "X-Robots-Tag: noindex"),
    ("/none-of-us", "Bytes", ""),
    ("/for-us", "Refused", "X-Robots-Tag: noimageindex"),
    ("/noai-redirect", "Refused", "X-Robots-Tag: noai"),
    ("ftp://127.0.0.1/a", "Refused", "the scheme is ftp"),
    ("http://user:secret@127.0.0.1/a", "Refused", "a user name"),
    ("http://", "Refused", "not a URL"),
];

fn name(fetched: &Fetched) -> (&'static str, String) {
    match fetched {
        Fetched::Bytes(bytes) => {
            assert_eq!(&bytes[..], IMAGE);
            ("Bytes", String::new())
        }
        Fetched::Unreachable(why) => ("Unreachable", why.clone()),
        Fetched::Refused(why) => ("Refused", why.clone()),
        Fetched::Changed(why) => ("Changed", why.clone()),
        Fetched::TooLarge(why) => ("TooLarge", why.clone()),
    }
}

#[tokio::test]
async fn a_bad_answer_costs_its_row_and_ends_in_time() {
    let web = Web::start(answer);
    let many = Links { per_host: 64, ..settings() };
    let begun = Instant::now();
    let mut wrong = Vec::new();
    // Each with its own fetcher: ten failures in a row would end the requests to the host.
    let fetchers: Vec<_> = EXPECTED.iter().map(|_| fetcher(&many)).collect();
    let fetched = EXPECTED.iter().zip(&fetchers).map(async |((path, ..), fetcher)| {
        let url = if path.starts_with('/') { web.url(path) } else { (*path).to_owned() };
        name(&fetch(fetcher, url).await)
    });
    for ((path, kind, part), (found, why)) in EXPECTED.iter().zip(join_all(fetched).await) {
        if !found.starts_with(kind) || !why.contains(part) {
            wrong.push(format!("{path}: {found}: {why}; expected {kind}: {part}"));
        }
        assert!(!why.contains("secret"), "{path}: {why}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn loopback_is_refused_by_address_and_by_name_and_no_request_is_sent() {
    let web = Web::start(answer);
    let port = web.address.port();
    let fetcher = fetcher(&Links { allow_private: Private::default(), ..settings() });
    for host in ["127.0.0.1", "localhost", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"] {
        let fetched = fetch(&fetcher, format!("http://{host}:{port}/image")).await;
        assert!(matches!(fetched, Fetched::Refused(_)), "{host}: {fetched:?}");
    }
    assert!(web.seen().is_empty());
}

#[tokio::test]
async fn tags_are_ignored_on_request_and_requests_carry_only_what_the_settings_say() {
    let web = Web::start(answer);
    let user_agent = "tester/2 (me@example.com)".to_owned();
    let fetcher = fetcher(&Links { respect_robots_tag: false, user_agent: user_agent.clone(), ..settings() });
    assert!(matches!(fetch(&fetcher, web.url("/noai")).await, Fetched::Bytes(_)));
    let request = web.seen().remove(0);
    assert_eq!(request.headers["user-agent"], user_agent);
    assert_eq!(request.headers["accept-encoding"], "identity");
    let mut names: Vec<_> = request.headers.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
}

#[tokio::test]
async fn bytes_that_differ_from_the_rows_digest_are_not_used() {
    let web = Web::start(answer);
    let fetcher = fetcher(&settings());
    let with = |digest: &str| crate::Link { digest: Some(digest.to_owned()), ..link(web.url("/image")) };
    let right = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(IMAGE));
    assert!(matches!(try_fetch(&fetcher, &with(&right)).await.unwrap(), Fetched::Bytes(_)));
    for wrong in [&"0".repeat(64), &"0".repeat(32), "x"] {
        let fetched = try_fetch(&fetcher, &with(wrong)).await.unwrap();
        assert!(matches!(fetched, Fetched::Changed(_)), "{fetched:?}");
    }
}
