//! `--metrics ADDRESS`: a page a Prometheus server reads, over HTTP/1.1. GET /metrics and nothing else.

use crate::{
    console,
    exit::{ExitCodeExt as _, Failure},
};
use anyhow::Context as _;
use capfilt_coordinator::metrics::Metrics;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};

/// Readers at the same time. Memory: a page of a few kilobytes each.
const READERS: usize = 16;

/// How long one reader may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time after which a listener that failed (too many open files) is asked again.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// Metrics that are fed in one place and read in another.
#[derive(Debug, Clone)]
pub struct SharedMetrics(Arc<Mutex<Metrics>>);

impl SharedMetrics {
    pub fn with<T>(&self, act: impl FnOnce(&mut Metrics) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The process's metrics, served at the address if there is one.
///
/// # Errors
/// When the address cannot be listened at.
pub async fn serve(address: Option<SocketAddr>) -> Result<SharedMetrics, Failure> {
    let metrics = SharedMetrics(Arc::new(Mutex::new(Metrics::start())));
    if let Some(address) = address {
        let listener = TcpListener::bind(address).await;
        let cannot = || {
            format!("cannot serve metrics at {address}; is another process there? Port 0 takes any free one")
        };
        let listener = listener.with_context(cannot).or_environment_error()?;
        let bound = listener.local_addr().context("the listener has no address").or_environment_error()?;
        console::line(format!("metrics at http://{bound}/metrics"));
        tokio::spawn(listen(listener, metrics.clone()));
    }
    Ok(metrics)
}

async fn listen(listener: TcpListener, metrics: SharedMetrics) {
    let places = Arc::new(Semaphore::new(READERS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes the semaphore");
        let Ok((stream, _)) = listener.accept().await else {
            sleep(TRY_EVERY).await;
            continue;
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            let _ = timeout(PATIENCE, answer(stream, metrics)).await;
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
        tracing::debug!(%error, "a reader of metrics went away");
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
