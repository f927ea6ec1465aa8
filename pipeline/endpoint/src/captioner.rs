//! The captioner behind an endpoint.

use crate::{
    client::Client,
    error::EndpointError,
    options::EndpointOptions,
    patience::{Next, Patience},
    request,
};
use capfilt_pipeline::model::{EncodedImage, ModelError, RemoteCaption, RemoteCaptioner, SampleKey};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::{runtime::Handle, sync::Semaphore, task::JoinHandle};

/// Captions in a row without a text after which the endpoint itself is at fault: a model without vision, a
/// proxy that answers for a server.
const MOST_IN_A_ROW: u32 = 64;

/// Most images whose captions were begun and not fetched. Memory: an encoded image each, which the worker
/// process counts as a row in flight; after a failed shard, only texts.
const MOST_BEGUN: usize = 4096;

/// Writes captions with another program.
pub struct EndpointCaptioner {
    state: Arc<State>,
    /// Runtime of the requests; the caller's thread only waits.
    runtime: Handle,
    /// Captions that were begun before their batch came.
    begun: HashMap<SampleKey, Begun>,
}

struct State {
    client: Client,
    /// One per request that is under way, also while it waits for its next attempt.
    permits: Semaphore,
    /// Captions without a text since the last one with a text.
    in_a_row: AtomicU32,
}

/// Captions of one image that are being written.
struct Begun {
    captions: usize,
    task: JoinHandle<Result<Vec<RemoteCaption>, EndpointError>>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the first request waits for an endpoint that is not reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstContact {
    /// The user has just named it: an unreachable endpoint is more likely misspelt than unavailable.
    Now,
    /// Another process has reached it before.
    Waits,
}

impl EndpointCaptioner {
    /// Connects to an endpoint that another process has reached before: waits for it, up to
    /// [`EndpointOptions::outage`]. Must be called in a runtime of several threads, which carries the
    /// requests.
    ///
    /// # Errors
    /// The endpoint is unavailable for too long, refuses the key, or does not serve the model.
    pub async fn connect(options: EndpointOptions) -> Result<Self, EndpointError> {
        Self::contact(options, FirstContact::Waits).await
    }

    /// Checks an endpoint once, without waiting for it.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn check(options: EndpointOptions) -> Result<(), EndpointError> {
        Self::contact(options, FirstContact::Now).await.map(drop)
    }

    async fn contact(options: EndpointOptions, first: FirstContact) -> Result<Self, EndpointError> {
        let outage = if first == FirstContact::Now { Duration::ZERO } else { options.outage };
        let client = Client::new(EndpointOptions { outage, ..options.clone() })?;
        serves_model(&client).await?;
        let client = Client { options, ..client };
        let permits = Semaphore::new(client.options.concurrency);
        let state = Arc::new(State { client, permits, in_a_row: AtomicU32::new(0) });
        Ok(Self { state, runtime: Handle::current(), begun: HashMap::new() })
    }

    fn begin(&self, image: EncodedImage, captions: usize) -> Begun {
        let state = Arc::clone(&self.state);
        let write = async move {
            let each = (0..captions).map(|number| state.caption(&image, number));
            futures::future::try_join_all(each).await
        };
        Begun { captions, task: self.runtime.spawn(write) }
    }
}

/// Waits for the captions of a batch; an error ends the requests that are still under way.
async fn all(begun: Vec<Begun>) -> Result<Vec<Vec<RemoteCaption>>, String> {
    let mut written = Vec::with_capacity(begun.len());
    for mut one in begun {
        let captions = (&mut one.task).await.map_err(|error| format!("a request ended: {error}"))?;
        written.push(captions.map_err(|error| error.to_string())?);
    }
    Ok(written)
}

/// Checks that the endpoint answers and lists the model, if it has a list.
async fn serves_model(client: &Client) -> Result<(), EndpointError> {
    let mut patience = Patience::new(&client.options, 0);
    let listed = loop {
        match client.models().await {
            Ok(listed) => break listed,
            Err(error) => wait_or_end(client, patience.next(error)).await?.map_or(Ok(()), |why| {
                Err(EndpointError::Refused { endpoint: client.options.shown(), why })
            })?,
        }
    };
    let (endpoint, model) = (client.options.shown(), client.options.model.clone());
    match listed {
        Some(models) if !models.is_empty() && !models.contains(&model) => {
            Err(EndpointError::OtherModel { endpoint, model, served: models.join(", ") })
        }
        Some(_) => Ok(()),
        None => {
            tracing::debug!("{endpoint} has no list of models; the name {model} is not checked");
            Ok(())
        }
    }
}

/// Waits before the next attempt; returns the reason if this request has no result.
async fn wait_or_end(client: &Client, next: Next) -> Result<Option<String>, EndpointError> {
    let endpoint = || client.options.shown();
    match next {
        Next::Repeat(pause) => {
            tokio::time::sleep(pause).await;
            Ok(None)
        }
        Next::NoCaption(why) => Ok(Some(why)),
        Next::GiveUp(waited, why) => Err(EndpointError::Unavailable { endpoint: endpoint(), waited, why }),
        Next::Rejected(why) => Err(EndpointError::Refused { endpoint: endpoint(), why }),
    }
}

impl State {
    async fn caption(&self, image: &EncodedImage, number: usize) -> Result<RemoteCaption, EndpointError> {
        let jitter = request::seed(&image.key, number);
        let mut patience = Patience::new(&self.client.options, jitter.into());
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        loop {
            let error = match self.client.caption(&image.bytes, &image.key, number).await {
                Ok(text) => {
                    self.in_a_row.store(0, Ordering::Relaxed);
                    return Ok(RemoteCaption::Text(text));
                }
                Err(error) => error,
            };
            let next = patience.next(error);
            if let Next::Repeat(pause) = &next {
                tracing::debug!(?pause, "a request to the captioner's endpoint is repeated");
            }
            if let Some(why) = wait_or_end(&self.client, next).await? {
                return self.without(why);
            }
        }
    }

    /// Result of a caption without a text.
    fn without(&self, why: String) -> Result<RemoteCaption, EndpointError> {
        if self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_IN_A_ROW {
            // Requests that are under way at once may have counted further.
            let (endpoint, captions) = (self.client.options.shown(), MOST_IN_A_ROW);
            return Err(EndpointError::NoCaptions { endpoint, captions, why });
        }
        tracing::debug!("an image has no caption: {why}");
        Ok(RemoteCaption::Refused(why))
    }
}

impl RemoteCaptioner for EndpointCaptioner {
    fn announce(&mut self, images: Vec<EncodedImage>, captions: usize) {
        if self.begun.len() + images.len() > MOST_BEGUN {
            self.begun.clear();
        }
        for image in images {
            let key = image.key;
            if !self.begun.contains_key(&key) {
                self.begun.insert(key, self.begin(image, captions));
            }
        }
    }

    fn caption(
        &mut self,
        images: Vec<EncodedImage>,
        captions: usize,
    ) -> Result<Vec<Vec<RemoteCaption>>, ModelError> {
        let mut begun = Vec::with_capacity(images.len());
        for image in images {
            let earlier = self.begun.remove(&image.key).filter(|one| one.captions == captions);
            begun.push(earlier.unwrap_or_else(|| self.begin(image, captions)));
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        // A caller that has ended needs no answer.
        self.runtime.spawn(async move { drop(sender.send(all(begun).await)) });
        let written = receiver.recv().map_err(|_| ModelError::Remote("its runtime has ended".to_owned()))?;
        written.map_err(ModelError::Remote)
    }
}
