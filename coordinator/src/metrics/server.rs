//! Server of the metrics over HTTP/1.1: `GET /metrics` only.

use super::Metrics;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Largest number of concurrent requests. Memory: a page of a few kilobytes each.
const READERS: usize = 16;

/// Limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Wait after a failed `accept` (too many open files).
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// Metrics that the dispatcher updates and the server reads.
#[derive(Debug, Clone)]
pub struct SharedMetrics(Arc<Mutex<Metrics>>);

impl SharedMetrics {
    /// Starts the metrics of this process.
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(Metrics::start())))
    }

    /// Calls `act` with the metrics, while no other thread reads or updates the metrics.
    pub fn with<T>(&self, act: impl FnOnce(&mut Metrics) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Serves metrics at an address, in a task of this runtime. Returns the address with the port in use.
///
/// # Errors
/// When the server cannot listen at the address.
pub async fn serve(address: SocketAddr, metrics: SharedMetrics) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let bound = listener.local_addr()?;
    tokio::spawn(listen(listener, metrics));
    Ok(bound)
}

async fn listen(listener: TcpListener, metrics: SharedMetrics) {
    let places = Arc::new(Semaphore::new(READERS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_RETRY).await;
            continue;
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            let _ = timeout(REQUEST_TIMEOUT, answer(stream, metrics)).await;
            drop(place);
        });
    }
}

async fn answer(stream: TcpStream, metrics: SharedMetrics) {
    let service = service_fn(|request: Request<Incoming>| {
        let response = respond(request.method(), request.uri().path(), &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let served =
        http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(%error, "a metrics request ended early");
    }
}

fn respond(method: &Method, path: &str, metrics: &SharedMetrics) -> Response<String> {
    let (status, kind, body) = match (method, path) {
        (&Method::GET, "/metrics") => (
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics.with(|metrics| metrics.page()),
        ),
        (_, "/metrics") => (StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "text/plain", "only /metrics is here\n".to_owned()),
    };
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind).body(body);
    response.expect("the parts are sound")
}
