//! Answers of the Hub and of its cache.

use super::{
    Files, Refusal, Repository, State, digest,
    http::{Request, Response},
    is_large, lock,
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::atomic::Ordering};

/// Entries of one page of a listing.
const PAGE: usize = 3;

/// Answer of the Hub.
pub(super) fn hub(state: &State, request: &Request) -> Response {
    lock(&state.requests).push(format!("{} {}", request.method, request.target));
    if state.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        return Response { status: 429, ..Response::default() }.with("retry-after", 1);
    }
    if let Some(refusal) = lock(&state.refusal).clone() {
        return refused(&refusal);
    }
    let given = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if lock(&state.token).as_deref().is_some_and(|token| given != Some(token)) {
        let message = "Repository not found";
        return refused(&Refusal { status: 401, code: "RepoNotFound", message });
    }
    let parts = request.parts();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["api", "resolve-cache", kind, owner, name, commit, path @ ..] => {
            small(state, &format!("{kind}/{owner}/{name}"), commit, &path.join("/"), request)
        }
        ["api", kind, owner, name, what, revision, path @ ..] => {
            api(state, &format!("{kind}/{owner}/{name}"), what, revision, (&path.join("/"), request))
        }
        ["datasets", owner, name, "resolve", revision, path @ ..] => {
            resolve(state, &format!("datasets/{owner}/{name}"), revision, &path.join("/"), request)
        }
        [owner, name, "resolve", revision, path @ ..] => {
            resolve(state, &format!("models/{owner}/{name}"), revision, &path.join("/"), request)
        }
        _ => Response { status: 404, ..Response::default() },
    }
}

fn refused(refusal: &Refusal) -> Response {
    let response = Response { status: refusal.status, ..Response::default() };
    response.with("x-error-code", refusal.code).with("x-error-message", refusal.message)
}

fn no_entry() -> Response {
    refused(&Refusal { status: 404, code: "EntryNotFound", message: "Entry not found" })
}

/// The files of a revision, or the Hub's refusal.
fn found(state: &State, name: &str, revision: &str) -> Result<(Repository, String, Files), Response> {
    let no_repository = || refused(&Refusal { status: 404, code: "RepoNotFound", message: "Not found" });
    let repository = state.repository(name).ok_or_else(no_repository)?;
    let no_revision =
        || refused(&Refusal { status: 404, code: "RevisionNotFound", message: "Invalid rev id" });
    let (commit, files) = repository.at(revision).ok_or_else(no_revision)?;
    let (commit, files) = (commit.to_owned(), files.clone());
    Ok((repository, commit, files))
}

fn api(state: &State, name: &str, what: &str, revision: &str, (path, request): (&str, &Request)) -> Response {
    let (_, commit, files) = match found(state, name, revision) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    match (what, request.method.as_str()) {
        ("revision", "GET") => Response::json(&json!({"id": name, "sha": commit})),
        ("tree", "GET") => tree(state, &files, path, request),
        ("paths-info", "POST") => {
            let asked: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let asked: Vec<&str> =
                asked["paths"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let known = asked.iter().filter_map(|path| Some(file(path, files.get(*path)?)));
            Response::json(&known.collect())
        }
        _ => Response { status: 404, ..Response::default() },
    }
}

fn file(path: &str, bytes: &[u8]) -> Value {
    let mut entry = json!({"type": "file", "oid": &digest(bytes)[..40], "size": bytes.len(), "path": path});
    if is_large(path) {
        entry["oid"] = digest(path.as_bytes())[..40].into();
        entry["lfs"] = json!({"oid": digest(bytes), "size": bytes.len(), "pointerSize": 132});
    }
    entry
}

/// One page of a listing.
fn tree(state: &State, files: &Files, folder: &str, request: &Request) -> Response {
    let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let is_recursive = request.parameter("recursive") == Some("true");
    let below = || files.iter().filter_map(|(path, bytes)| Some((path, path.strip_prefix(&prefix)?, bytes)));
    let folders = below().flat_map(|(_, rest, _)| {
        let ends = rest.match_indices('/').map(|(end, _)| format!("{prefix}{}", &rest[..end]));
        ends.take(if is_recursive { usize::MAX } else { 1 }).collect::<Vec<_>>()
    });
    let folders: BTreeSet<String> = folders.collect();
    let mut entries: Vec<Value> = folders
        .iter()
        .map(|path| json!({"type": "directory", "oid": "0", "size": 0, "path": path}))
        .collect();
    let files = below().filter(|(_, rest, _)| is_recursive || !rest.contains('/'));
    // The Hub's order is not that of the names.
    entries.extend(files.map(|(path, _, bytes)| file(path, bytes)).rev());
    if entries.is_empty() && !folder.is_empty() {
        return no_entry();
    }
    let start = request.parameter("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let page: Vec<Value> = entries.iter().skip(start).take(PAGE).cloned().collect();
    let response = Response::json(&page.into());
    if start + PAGE >= entries.len() {
        return response;
    }
    let target = request.target.split("&cursor=").next().unwrap_or_default();
    let next = format!("{}{target}&cursor={}", lock(&state.hub_url), start + PAGE);
    response.with("link", format!("<{next}>; rel=\"next\""))
}

/// A read: a redirect to the cache, or within the Hub.
fn resolve(state: &State, name: &str, revision: &str, path: &str, request: &Request) -> Response {
    let (_, commit, files) = match found(state, name, revision) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let Some(bytes) = files.get(path) else { return no_entry() };
    if state.redirects_in_a_circle.load(Ordering::Relaxed) {
        return Response { status: 302, ..Response::default() }.with("location", &request.target);
    }
    let response = Response { status: 302, ..Response::default() }.with("x-repo-commit", &commit);
    if !is_large(path) {
        let target = format!("/api/resolve-cache/{name}/{commit}/{}", escaped(path));
        return Response { status: 307, ..response }.with("location", target);
    }
    let (signature, cache) = (state.signature.load(Ordering::Relaxed), lock(&state.cache_url).clone());
    let target =
        format!("{cache}/{}?name={name}&commit={commit}&signature={signature}", digest(path.as_bytes()));
    let response = response.with("location", target).with("x-linked-size", bytes.len());
    if state.hides_etags.load(Ordering::Relaxed) {
        return response;
    }
    response.with("x-linked-etag", format!("\"{}\"", digest(bytes)))
}

/// A path with escapes for what a URL cannot have.
fn escaped(path: &str) -> String {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-~".contains(byte);
    let escape = |byte: u8| if is_plain(&byte) { (byte as char).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(escape).collect()
}

fn small(state: &State, name: &str, commit: &str, path: &str, request: &Request) -> Response {
    match found(state, name, commit) {
        Ok((_, _, files)) => match files.get(path) {
            Some(bytes) => {
                let response = part(bytes, state, request).with("x-repo-commit", commit);
                let hides = state.hides_etags.load(Ordering::Relaxed);
                if hides { response } else { response.with("etag", format!("\"{}\"", &digest(bytes)[..40])) }
            }
            None => no_entry(),
        },
        Err(refusal) => refusal,
    }
}

/// Answer of the second server, which knows only signed addresses, and whose ETags are its own.
pub(super) fn cache(state: &State, request: &Request) -> Response {
    lock(&state.cache_requests).push(format!("{} {}", request.method, request.target));
    if request.header("authorization").is_some() {
        state.leaked.store(true, Ordering::Relaxed);
    }
    let signature = state.signature.load(Ordering::Relaxed).to_string();
    if request.parameter("signature") != Some(&signature) {
        return Response { status: 403, ..Response::default() };
    }
    let (name, commit) = (request.parameter("name").unwrap_or(""), request.parameter("commit").unwrap_or(""));
    let file = found(state, name, commit).ok().and_then(|(_, _, files)| {
        let of = |path: &String| request.parts().first() == Some(&digest(path.as_bytes()));
        files.into_iter().find(|(path, _)| of(path)).map(|(_, bytes)| bytes)
    });
    let Some(bytes) = file else { return Response { status: 404, ..Response::default() } };
    part(&bytes, state, request).with("etag", format!("\"cache-{}\"", &digest(&bytes)[..8]))
}

/// The requested range, or the whole file.
fn part(bytes: &[u8], state: &State, request: &Request) -> Response {
    let whole = || Response { status: 200, headers: vec![], body: bytes.to_vec() };
    let asked = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((start, end)) = asked.filter(|_| !state.ignores_ranges.load(Ordering::Relaxed)) else {
        return whole();
    };
    let last = bytes.len().saturating_sub(1);
    let (start, end) = match (start.parse::<usize>(), end.parse::<usize>()) {
        (Ok(start), end) => (start, end.unwrap_or(last).min(last)),
        (Err(_), Ok(suffix)) => (bytes.len().saturating_sub(suffix), last),
        (Err(_), Err(_)) => return whole(),
    };
    if start >= bytes.len() {
        return Response { status: 416, ..Response::default() };
    }
    let range = format!("bytes {start}-{end}/{}", bytes.len());
    let body = bytes[start..=end].to_vec();
    Response { status: 206, headers: vec![("content-range", range)], body }
}
