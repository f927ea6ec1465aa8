//! What stands between a cloud's client and the network: how long a request may wait, what is said meanwhile,
//! and pages of listings without names that end them.
//!
//! A request is given up by its want of progress, not by its length: over a slow line an upload of 8 MiB
//! takes minutes and is in order as long as its bytes go out.

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
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use waiting::Waiting;

/// Time without progress after which a request is given up, unless the settings say otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes that may still be on their way when all have been handed to the system (`tcp_wmem`'s usual maximum),
/// and the slowest line that is waited for, in bytes a second. Linux lets a connection send on when a third
/// of these bytes has gone out: over the slowest line that takes 21 seconds, which is within [`PATIENCE`].
const IN_FLIGHT: u64 = 4 << 20;
const SLOWEST: u64 = 64 << 10;

/// Times a waiting request is looked at within its patience.
const LOOKS: u32 = 30;

/// Makes the clients of one store.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub passed_over: Arc<PassedOver>,
    /// Time without progress after which a request is given up.
    pub patience: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
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
    /// The answer's head, unless there is no progress for too long.
    async fn answer(
        &self,
        request: HttpRequest,
        sending: &Sending,
        waiting: &Waiting,
    ) -> Result<HttpResponse, HttpError> {
        let patience = self.connector.patience;
        let look_every = patience.checked_div(LOOKS).unwrap_or(patience).min(Duration::from_secs(1));
        let mut answer = std::pin::pin!(self.client.execute(request));
        let (mut position, mut since) = (sending.position(), Instant::now());
        loop {
            if let Ok(answer) = tokio::time::timeout(look_every, &mut answer).await {
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

/// The request with a body whose progress can be seen. A body of one buffer is short, and not watched.
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
