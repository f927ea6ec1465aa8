//! The server of the page.

use crate::{
    access::Access,
    connections,
    error::ServeError,
    feed::Feed,
    guard, headers,
    likeness::TextVector,
    report::{MakeReport, Reports},
    routes::{self, App},
};
use axum::{Router, middleware};
use capfilt_coordinator::job;
use capfilt_store::{Location, without_secrets};
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// A server that listens and has read the job once.
pub struct Server {
    listener: TcpListener,
    /// Address with the port in use.
    bound: SocketAddr,
    access: Arc<Access>,
    app: Arc<App>,
}

impl Server {
    /// Reads the job and listens. `report` makes the page of its report, and `text_vector` lets users search
    /// its images by a text.
    ///
    /// # Errors
    /// A job that cannot be read, and an address that cannot be used.
    pub async fn open(
        bucket: Location,
        access: Access,
        report: Option<MakeReport>,
        text_vector: Option<TextVector>,
    ) -> Result<Self, ServeError> {
        let bucket = Arc::new(bucket);
        let feed = Feed::open(Arc::clone(&bucket)).await?;
        let digest = job::digest(&bucket).await.map_err(job::JobError::from)?;
        let listen = access.listen;
        let failed = |source| ServeError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let who = format!("the live page at {bound}");
        let app = App::new(bucket, digest, feed, who, Reports::new(report), text_vector);
        Ok(Self { listener, bound, access: Arc::new(access), app: Arc::new(app) })
    }

    /// Lines for the user at the start. One of them has the token, if it was made at the start.
    pub fn lines(&self) -> Vec<String> {
        let job = without_secrets(&self.app.bucket.url);
        let mut lines = vec![format!("the live page of {job} is at http://{}/", self.bound)];
        if self.access.is_random {
            lines.push(format!(
                "the token for pause, resume, drain and retry, which is not shown again: {}",
                self.access.token.reveal()
            ));
        }
        if self.access.guards_reading() {
            lines.push(
                "the connection is not encrypted: put a proxy with TLS before it on an untrusted network"
                    .to_owned(),
            );
        }
        lines
    }

    /// Answers requests until the future is dropped.
    pub async fn run(self) {
        let Self { listener, access, app, .. } = self;
        connections::accept(listener, checked(access, app)).await;
    }
}

/// The routes behind all checks.
pub(crate) fn checked(access: Arc<Access>, app: Arc<App>) -> Router {
    routes::router(app)
        .layer(middleware::from_fn_with_state(access, guard::check))
        .layer(middleware::map_response(headers::set))
}

#[cfg(test)]
mod tests;
