//! HTTP layer between a cloud's client and the network: it limits the wait for progress, reports waits, and
//! removes names from listings that would end the listing.
//!
//! A request is given up for lack of progress, not for its duration: over a slow line an upload of 8 MiB
//! takes minutes, which is fine while its bytes are sent.

mod body;
mod names;
mod stalled;
mod uplink;
mod waiting;

use crate::passed_over::PassedOver;
use body::{Sending, Watched};
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
        HttpService, ReqwestConnector,
    },
};
use stalled::Stalled;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use waiting::Waiting;

/// Time without progress after which a request is given up, unless the settings have another value.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Time for a connection to a store without own settings; object_store has the same.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that may still be in flight when the system has taken all (`tcp_wmem`'s usual maximum), and the
/// slowest line that is waited for, in bytes per second. Linux lets a connection send more when a third of
/// these bytes is sent: over the slowest line that takes 21 seconds, which is within [`PATIENCE`].
const IN_FLIGHT: u64 = 4 << 20;
const SLOWEST: u64 = 64 << 10;

/// Number of checks of a waiting request within its patience.
const CHECKS: u32 = 30;

/// Factory of the clients of one store.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub passed_over: Arc<PassedOver>,
    /// Time without progress after which a request is given up.
    pub patience: Duration,
}

impl Connector {
    /// A client that returns redirects to its caller. `pem`: certificates that are trusted in addition to the
    /// system's.
    ///
    /// # Errors
    /// Certificates that are not PEM, and a client that cannot be built.
    pub(crate) fn connect_without_redirects(&self, pem: Option<&[u8]>) -> Result<HttpClient, String> {
        install_cryptography();
        let agent = concat!("capfilt/", env!("CARGO_PKG_VERSION"));
        let certificates = pem.map(reqwest::Certificate::from_pem_bundle).transpose().map_err(in_full)?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .user_agent(agent)
            .tls_certs_merge(certificates.unwrap_or_default());
        let client = HttpClient::new(client.build().map_err(in_full)?);
        Ok(HttpClient::new(Service { client, connector: self.clone() }))
    }
}

/// The HTTP client brings no cryptography provider. An error means that one is installed.
fn install_cryptography() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn in_full(error: reqwest::Error) -> String {
    let first: &(dyn std::error::Error + 'static) = &error;
    let causes = std::iter::successors(Some(first), |error| error.source()).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        install_cryptography();
        let options = options.clone().with_timeout_disabled();
        let client = ReqwestConnector::default().connect(&options)?;
        Ok(HttpClient::new(Service { client, connector: self.clone() }))
    }
}

#[derive(Debug)]
struct Service {
    client: HttpClient,
    connector: Connector,
}

#[async_trait::async_trait]
impl HttpService for Service {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let waiting = Waiting::of(&request);
        let lists = lists(&request);
        let (request, sending) = watched(request).await?;
        let permit = uplink::permit(sending.bytes()).await;
        let answer = self.answer(request, &sending, &waiting).await;
        if let Some(permit) = permit {
            permit.settle(
                !matches!(&answer, Err(error) if error.kind() == HttpErrorKind::Timeout),
                waiting.host(),
            );
        }
        let patience = self.connector.patience;
        let answer = answer?.map(|body| HttpResponseBody::new(Watched::new(body, patience, waiting)));
        if lists && answer.status().is_success() { self.sift(answer).await } else { Ok(answer) }
    }
}

impl Service {
    /// Head of the answer; an error after too long without progress.
    async fn answer(
        &self,
        request: HttpRequest,
        sending: &Sending,
        waiting: &Waiting,
    ) -> Result<HttpResponse, HttpError> {
        let patience = self.connector.patience;
        let check_every = patience.checked_div(CHECKS).unwrap_or(patience).min(Duration::from_secs(1));
        let mut answer = std::pin::pin!(self.client.execute(request));
        let (mut position, mut since) = (sending.position(), Instant::now());
        loop {
            if let Ok(answer) = tokio::time::timeout(check_every, &mut answer).await {
                return answer;
            }
            let now_at = sending.position();
            if now_at != position {
                (position, since) = (now_at, Instant::now());
            }
            let (quiet, was_sending) = (since.elapsed(), position.is_some());
            let rest = if was_sending { 0 } else { sending.bytes().min(IN_FLIGHT) };
            if quiet > patience + Duration::from_secs(rest / SLOWEST) {
                return Err(HttpError::new(HttpErrorKind::Timeout, Stalled { after: quiet, was_sending }));
            }
            if rest == 0 || quiet > patience {
                waiting.say(quiet);
            }
        }
    }

    async fn sift(&self, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
        let (head, body) = answer.into_parts();
        let page = body.bytes().await?;
        let rest = names::without_odd_names(&page, &self.connector.passed_over);
        Ok(HttpResponse::from_parts(head, rest.map_or_else(|| page.into(), HttpResponseBody::from)))
    }
}

/// Whether the answer is a page of a listing: S3's and Google's, or Azure's.
fn lists(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "list-type=2" || pair == "comp=list")
}

/// Replaces the request's body by one whose progress is observed. A body of one buffer is short and not
/// observed.
async fn watched(request: HttpRequest) -> Result<(HttpRequest, Sending), HttpError> {
    if request.body().as_bytes().is_some() {
        return Ok((request, Sending::unwatched()));
    }
    let (head, body) = request.into_parts();
    let sending = Sending::copy_of(body).await?;
    Ok((HttpRequest::from_parts(head, sending.body()), sending))
}

#[cfg(test)]
mod tests;
