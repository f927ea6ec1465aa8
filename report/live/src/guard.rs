//! Checks of every request before its handler: host name, token, and for a change also its origin.
//!
//! The check of the token is here and not in the handlers, so that a new route that changes something has it.

use crate::{access::Access, fields::Fields, page};
use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use std::{sync::Arc, time::Duration};

/// Largest body of a request.
const BODY_BYTES: usize = 16 << 10;

/// Limit for the arrival of a body.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// Reason why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The `Host` header names another server.
    Host,
    /// Another site sent the request.
    CrossSite,
    /// Reading needs the token.
    ReadToken,
    /// A change needs the token.
    Token,
    /// The body is too large, or too slow.
    Body,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::CrossSite | Self::Token => StatusCode::FORBIDDEN,
            Self::ReadToken => StatusCode::UNAUTHORIZED,
            Self::Body => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Host => {
                "The request names another host. Open the page by IP address or as localhost, or start \
                 `capfilt serve` with --host NAME."
            }
            Self::CrossSite => {
                "Another site sent this request, so nothing was changed. Use the form of the page."
            }
            Self::ReadToken => "This page needs the token, as the password; any user name will do.",
            Self::Token => {
                "Nothing was changed: the token is missing or wrong. `capfilt serve` printed it at its \
                 start, or it is in the environment variable of --token-env."
            }
            Self::Body => "The request is larger than 16 KiB, or did not arrive within 10 seconds.",
        }
    }

    fn answer(self) -> Response {
        let mut answer = (self.status(), page::message("Refused", self.text())).into_response();
        if self == Self::ReadToken {
            let ask = header::HeaderValue::from_static("Basic realm=\"capfilt\", charset=\"UTF-8\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        }
        answer
    }
}

/// Passes a request on that the checks allow.
pub(crate) async fn check(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match allowed(&access, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.answer(),
    }
}

async fn allowed(access: &Access, request: Request) -> Result<Request, Refusal> {
    let (parts, body) = request.into_parts();
    let is_known = host(&parts).is_some_and(|host| access.knows_host(host));
    if !is_known {
        return Err(Refusal::Host);
    }
    let has_header = access.token.is_in(&parts.headers);
    if access.guards_reading() && !has_header {
        return Err(Refusal::ReadToken);
    }
    if matches!(parts.method, Method::GET | Method::HEAD) {
        if is_foreign_load(&parts.headers) {
            return Err(Refusal::CrossSite);
        }
        return Ok(Request::from_parts(parts, Body::empty()));
    }
    if !is_same_origin(&parts, has_header) {
        return Err(Refusal::CrossSite);
    }
    let body = tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_BYTES)).await;
    let body = body.ok().and_then(Result::ok).ok_or(Refusal::Body)?;
    let has_field = || Fields::parse(&body).get("token").is_some_and(|token| access.token.is(token.trim()));
    if !has_header && !has_field() {
        return Err(Refusal::Token);
    }
    Ok(Request::from_parts(parts, Body::from(body)))
}

/// The host that the request names: of its `Host` header, which HTTP/1.1 demands once.
fn host(parts: &Parts) -> Option<&str> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

/// Whether a page of this server sent the request, or no browser did. Browsers send `Sec-Fetch-Site`, which
/// decides; older ones send `Origin`. With `Referrer-Policy: no-referrer` a form's `Origin` is `null`.
fn is_same_origin(parts: &Parts, has_header: bool) -> bool {
    let text = |name| text_of(&parts.headers, name);
    let is_own = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == host(parts)
    };
    match (text("sec-fetch-site"), text("origin")) {
        (Some("same-origin"), None | Some("null")) => true,
        (Some("same-origin") | None, Some(origin)) => is_own(origin),
        (Some(_), _) => false,
        (None, None) => has_header,
    }
}

/// Whether a page of another site loads the address as a part of it. A link that leads here is a navigation.
fn is_foreign_load(headers: &HeaderMap) -> bool {
    let is_foreign =
        text_of(headers, "sec-fetch-site").is_some_and(|site| matches!(site, "cross-site" | "same-site"));
    is_foreign && text_of(headers, "sec-fetch-dest") != Some("document")
}

/// Text of a header; a value that is not a text counts as an unknown one.
fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let request =
            headers.iter().fold(Request::builder().method("POST").uri("/control"), |request, one| {
                request.header(one.0, one.1)
            });
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_change_comes_from_the_own_page_or_from_no_browser() {
        let is_allowed = |headers: &[(&str, &str)], has_header| {
            let all = [&[("host", "127.0.0.1:8080")], headers].concat();
            is_same_origin(&parts(&all), has_header)
        };
        let (site, origin) = ("sec-fetch-site", "origin");
        assert!(is_allowed(&[(site, "same-origin"), (origin, "null")], false), "a form of the page");
        assert!(is_allowed(&[(site, "same-origin"), (origin, "http://127.0.0.1:8080")], false));
        assert!(is_allowed(&[(origin, "http://127.0.0.1:8080")], false), "an older browser");
        assert!(is_allowed(&[], true), "curl with the header");
        for refused in [
            &[(site, "cross-site"), (origin, "http://127.0.0.1:8080")][..],
            &[(site, "same-site"), (origin, "http://127.0.0.1:9090")],
            &[(site, "none")],
            &[(site, "same-origin"), (origin, "http://evil.example")],
            &[(origin, "http://evil.example")],
            &[(origin, "null")],
            &[(origin, "http://127.0.0.1:9090")],
        ] {
            assert!(!is_allowed(refused, true), "{refused:?}");
        }
        assert!(!is_allowed(&[], false), "a form field needs a browser's header");
    }

    #[test]
    fn another_site_may_link_to_the_page_and_not_load_it() {
        let (site, dest) = ("sec-fetch-site", "sec-fetch-dest");
        let is_refused = |headers: &[(&str, &str)]| is_foreign_load(&parts(headers).headers);
        assert!(is_refused(&[(site, "cross-site"), (dest, "image")]));
        assert!(is_refused(&[(site, "cross-site"), (dest, "iframe")]) && is_refused(&[(site, "same-site")]));
        assert!(!is_refused(&[(site, "cross-site"), (dest, "document")]));
        assert!(!is_refused(&[(site, "same-origin"), (dest, "empty")]) && !is_refused(&[]));
    }

    #[test]
    fn a_request_names_one_host() {
        assert_eq!(host(&parts(&[("host", "a")])), Some("a"));
        assert_eq!(host(&parts(&[])), None);
        assert_eq!(host(&parts(&[("host", "a"), ("host", "b")])), None);
    }
}
