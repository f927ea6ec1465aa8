//! Accepts connections within bounds, and answers their requests.

use axum::Router;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tower_service::Service as _;

/// Largest number of connections. Memory: about 64 KiB each, which is the buffer of its socket and headers.
const CONNECTIONS: usize = 256;

/// Limit for the arrival of a request's headers, also between two requests of a connection.
const HEADERS_WITHIN: Duration = Duration::from_secs(20);

/// Largest headers of a request.
const HEADER_BYTES: usize = 16 << 10;

/// Wait after a failed `accept` (too many open files).
const ACCEPT_RETRY: Duration = Duration::from_secs(1);

/// Serves connections until the future is dropped; the tasks of open connections end with the process.
pub(crate) async fn accept(listener: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_RETRY).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            answer(stream, router).await;
            drop(place);
        });
    }
}

async fn answer(stream: TcpStream, router: Router) {
    // A router is always ready.
    let service = service_fn(|request: Request<Incoming>| router.clone().call(request));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the page ended early");
    }
}
