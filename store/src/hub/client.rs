//! Requests to the Hub: its token, its pauses, its errors. The token is sent to the Hub alone.

use super::{
    access::{self, Access},
    error::HubError,
};
use crate::{StoreError, environment::refused, http, outage, passed_over::PassedOver};
use ::http::{HeaderMap, Method, StatusCode, header};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use object_store::{
    Error, Result,
    client::{HttpClient, HttpRequest, HttpRequestBody, HttpResponse},
};
use std::{sync::Arc, time::Duration};
use url::Url;

const STORE: &str = "Hugging Face Hub";

/// Attempts at a request that the Hub answers with 429 or 5xx. Later failures are outages
/// ([`crate::outage`]).
const TRIES: u32 = 6;

/// Pause after the first such answer without a time; it doubles for every further one.
const PAUSE: Duration = Duration::from_millis(500);

/// Longest requested pause: the Hub counts requests in windows of five minutes.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Pause from which on a log line reports it.
const REPORTED_PAUSE: Duration = Duration::from_secs(3);

/// Largest answer of the API, in bytes; a page of a listing has up to 1,000 files of about 300 bytes.
const ANSWER_BYTES: usize = 16 << 20;

/// Longest message of an error that is shown, in characters.
const SHOWN: usize = 500;

/// Client for one repository.
#[derive(Debug)]
pub(super) struct Client {
    http: HttpClient,
    pub access: Access,
    /// Page of the repository, for advice.
    pub page: String,
    /// Revision in the URL, for advice.
    pub revision: String,
}

/// A request that can be repeated.
pub(super) struct Ask {
    pub method: Method,
    pub url: Url,
    pub range: Option<String>,
    /// JSON.
    pub body: Option<Bytes>,
}

impl Ask {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, range: None, body: None }
    }
}

impl Client {
    /// # Errors
    /// An unusable variable or key of the settings, or an unreadable file of certificates.
    pub(super) fn open(url: &str, page: &str, revision: &str) -> std::result::Result<Self, StoreError> {
        let access = access::of_url(url)?;
        let pem = access.ca_bundle.as_ref().map(|(file, from)| {
            std::fs::read(file).map_err(|error| refused(from, &format!("{file} cannot be read: {error}")))
        });
        // Listings of the Hub are JSON, so the HTTP layer removes no names.
        let connector =
            http::Connector { passed_over: Arc::<PassedOver>::default(), patience: http::PATIENCE };
        let http = connector.connect_without_redirects(pem.transpose()?.as_deref());
        let http = http.map_err(|why| refused(&access.endpoint_from, &why))?;
        let page = below(&access.endpoint, page.split('/')).to_string();
        Ok(Self { http, access, page, revision: revision.to_owned() })
    }

    /// An address below the endpoint; each part is escaped.
    pub(super) fn address<'a>(&self, parts: impl IntoIterator<Item = &'a str>) -> Url {
        below(&self.access.endpoint, parts)
    }

    /// Whether requests to an address carry the token.
    pub(super) fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.access.endpoint.origin()
    }

    /// Target of a redirect.
    ///
    /// # Errors
    /// A target that is not a URL, or that would leave TLS.
    pub(super) fn target(&self, from: &Url, headers: &HeaderMap) -> Result<Url> {
        let host = from.host_str().unwrap_or_default();
        let wrong = |why: &str| failed(format!("{host} redirects to {why}"));
        let target = text(headers, header::LOCATION.as_str()).ok_or_else(|| wrong("nowhere"))?;
        let url = from.join(&target).map_err(|_| wrong("an address that is not a URL"))?;
        match (from.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => Ok(url),
            (_, scheme) => Err(wrong(&format!("an address of the scheme `{scheme}`, which is refused"))),
        }
    }

    /// Makes a request; 429 and 5xx are repeated after the pause that the answer requests.
    ///
    /// # Errors
    /// A failed connection. An answer with an error status is not an error here.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<HttpResponse> {
        let mut left = Duration::from_secs(outage::outage_seconds());
        for tried in 0.. {
            let answer = self.http.execute(self.request(ask)?).await.map_err(failed)?;
            let status = answer.status();
            if !is_busy(status) || tried + 1 == TRIES {
                return Ok(answer);
            }
            let pause = pause(answer.headers(), Utc::now()).unwrap_or(PAUSE * (1 << tried));
            let Some(rest) = left.checked_sub(pause) else { return Ok(answer) };
            left = rest;
            if pause >= REPORTED_PAUSE {
                let host = ask.url.host_str().unwrap_or_default();
                let (seconds, status) = (pause.as_secs(), status.as_u16());
                tracing::warn!("{host} answers with status {status}; the request waits for {seconds} s");
            }
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop returns after the last attempt")
    }

    /// Makes a request to the API and returns its answer with the headers.
    ///
    /// # Errors
    /// A failed connection, and an answer that reports an error.
    pub(super) async fn json<T: serde::de::DeserializeOwned>(&self, ask: &Ask) -> Result<(HeaderMap, T)> {
        let answer = self.ask(ask).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(&ask.url, answer).await);
        }
        let headers = answer.headers().clone();
        let body = body(answer).await?;
        let wrong = |error| failed(format!("{} does not answer like the Hub: {error}", ask.url));
        Ok((headers, serde_json::from_slice(&body).map_err(wrong)?))
    }

    fn request(&self, ask: &Ask) -> Result<HttpRequest> {
        let body = ask.body.clone().map_or_else(HttpRequestBody::empty, HttpRequestBody::from);
        let mut request = ::http::Request::builder()
            .method(ask.method.clone())
            .uri(ask.url.as_str())
            // Compressed answers would have other lengths and ranges.
            .header(header::ACCEPT_ENCODING, "identity");
        if let Some(range) = &ask.range {
            request = request.header(header::RANGE, range);
        }
        if ask.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let (Some(token), true) = (&self.access.token, self.is_hub(&ask.url)) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.text));
        }
        request.body(body).map_err(failed)
    }

    /// The error that an answer reports.
    pub(super) async fn refusal(&self, url: &Url, answer: HttpResponse) -> Error {
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let of_body = body(answer).await.unwrap_or_default();
        let of_body = serde_json::from_slice::<serde_json::Value>(&of_body).ok();
        let of_body = || of_body.as_ref()?.get("error")?.as_str().map(str::to_owned);
        let message = text(&headers, "x-error-message").or_else(of_body).unwrap_or_default();
        let is_hub = self.is_hub(url);
        let error = HubError {
            status,
            code: text(&headers, "x-error-code").unwrap_or_default(),
            message: message.chars().filter(|c| !c.is_control()).take(SHOWN).collect(),
            host: url.host_str().unwrap_or_default().to_owned(),
            is_hub,
            page: self.page.clone(),
            revision: self.revision.clone(),
            token: self.access.token.as_ref().map(|token| token.from.clone()),
        };
        Error::Generic { store: STORE, source: Box::new(error) }
    }
}

fn below<'a>(endpoint: &Url, parts: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = endpoint.clone();
    url.path_segments_mut().expect("the endpoint has a host").pop_if_empty().extend(parts);
    url
}

/// A header as text.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

pub(super) fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: STORE, source: source.into() }
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502..=504)
}

/// Pause that an answer requests: `Retry-After`, or the end of the window in `RateLimit`.
fn pause(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let after = text(headers, "retry-after").and_then(|text| {
        let until = || DateTime::parse_from_rfc2822(&text).ok().map(|at| (at.to_utc() - now).num_seconds());
        text.parse::<u64>().ok().or_else(|| until().map(|seconds| u64::try_from(seconds).unwrap_or(0)))
    });
    // `"api";r=0;t=55`: no request is left, and the window ends in 55 seconds.
    let window = || {
        text(headers, "ratelimit")?.split(';').find_map(|part| part.trim().strip_prefix("t=")?.parse().ok())
    };
    after.or_else(window).map(|seconds| Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

/// The body of an answer of the API.
async fn body(answer: HttpResponse) -> Result<Vec<u8>> {
    let mut chunks = answer.into_body().bytes_stream();
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(failed)?;
        if all.len() + chunk.len() > ANSWER_BYTES {
            return Err(failed(format!("an answer has more than {ANSWER_BYTES} bytes")));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_the_requested_one_up_to_the_window_of_the_hub() {
        let now = DateTime::parse_from_rfc2822("Mon, 30 Nov 2026 10:00:00 GMT").unwrap().to_utc();
        let requested = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            pause(&headers, now).map(|pause| pause.as_secs())
        };
        assert_eq!(requested("retry-after", "7"), Some(7));
        assert_eq!(requested("retry-after", "Mon, 30 Nov 2026 10:00:09 GMT"), Some(9));
        assert_eq!(requested("retry-after", "Mon, 30 Nov 2026 09:00:00 GMT"), Some(0));
        assert_eq!(requested("retry-after", "99999"), Some(300));
        assert_eq!(requested("retry-after", "soon"), None);
        assert_eq!(requested("ratelimit", "\"api\";r=0;t=55"), Some(55));
        assert_eq!(requested("etag", "x"), None);
    }
}
