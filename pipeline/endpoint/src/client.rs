//! The HTTP client of one endpoint.

use crate::{
    answer::{self, MAX_ANSWER_BYTES},
    error::{EndpointError, RequestError},
    images,
    options::EndpointOptions,
    request,
};
use bytes::Bytes;
use capfilt_pipeline::model::SampleKey;
use reqwest::{Method, RequestBuilder, Response, header, redirect::Policy};
use std::error::Error as _;

/// Sends requests to one endpoint.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: reqwest::Client,
    pub(crate) options: EndpointOptions,
}

/// Answer with its body, of at most [`MAX_ANSWER_BYTES`].
struct Answer {
    status: u16,
    retry_after: Option<String>,
    body: Vec<u8>,
}

impl Client {
    pub(crate) fn new(options: EndpointOptions) -> Result<Self, EndpointError> {
        // The HTTP client brings no cryptography provider. An error means that one is installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .timeout(options.request_time)
            .pool_max_idle_per_host(options.concurrency)
            .user_agent(concat!("capfilt/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| EndpointError::Client(cause(&error)))?;
        Ok(Self { http, options })
    }

    /// One attempt at one caption of an image.
    pub(crate) async fn caption(
        &self,
        image: &Bytes,
        key: &SampleKey,
        number: usize,
    ) -> Result<String, RequestError> {
        // Encoded again for each attempt, so that a waiting request holds only the shared bytes.
        let url = images::data_url(image, &self.options.images).map_err(RequestError::Refused)?;
        let body = request::body(&self.options, &url, request::seed(key, number));
        drop(url);
        let request = self.request(Method::POST, "chat/completions");
        let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        let answer = self.send(request).await?;
        match answer.status {
            200..=299 => answer::caption(&answer.body, self.options.text_bytes),
            status => Err(answer::failure(status, answer.retry_after.as_deref(), &answer.body)),
        }
    }

    /// Models that the endpoint lists; `None` if it has no list.
    pub(crate) async fn models(&self) -> Result<Option<Vec<String>>, RequestError> {
        let answer = self.send(self.request(Method::GET, "models")).await?;
        match answer.status {
            200..=299 => Ok(answer::models(&answer.body)),
            404 | 405 | 501 => Ok(None),
            status => Err(answer::failure(status, answer.retry_after.as_deref(), &answer.body)),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.options.url.clone();
        url.path_segments_mut().expect("a URL of HTTP has a path").pop_if_empty().extend(path.split('/'));
        let request = self.http.request(method, url);
        match &self.options.api_key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, RequestError> {
        let mut response = request.send().await.map_err(|error| self.transport(&error))?;
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let body = self.body(&mut response).await?;
        Ok(Answer { status, retry_after, body })
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, RequestError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                let why = format!("the answer has more than {MAX_ANSWER_BYTES} bytes");
                return Err(RequestError::Failed(why));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn transport(&self, error: &reqwest::Error) -> RequestError {
        if error.is_timeout() && !error.is_connect() {
            let seconds = self.options.request_time.as_secs_f64();
            return RequestError::Failed(format!("no answer within captioner.request_seconds = {seconds}"));
        }
        let why = cause(error);
        if error.is_connect() {
            return RequestError::Unavailable { why, retry_after: None };
        }
        RequestError::Failed(format!("the connection failed: {why}"))
    }
}

/// The innermost cause; outer ones only repeat the address, which may have credentials.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match error.source() {
        Some(_) => cause.to_string(),
        None => "the request cannot be sent".to_owned(),
    }
}
