//! The report of the job, as a page that is made at most once a minute.

use axum::{
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Response},
};
use capfilt_store::Location;
use futures::future::BoxFuture;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

/// Age up to which a report is not made again.
const FRESH: Duration = Duration::from_secs(60);

/// Limit for making a report: it reads every ledger of the job.
const WITHIN: Duration = Duration::from_secs(300);

/// The report has its script and style in the page, and a policy in the page that allows these alone. This
/// policy adds what a page cannot forbid.
const POLICY: &str = "connect-src 'none'; object-src 'none'; form-action 'none'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Makes the page of the report.
pub type MakeReport = fn(Arc<Location>) -> BoxFuture<'static, Result<String, String>>;

/// The newest report. Memory: one page, with its pictures a few megabytes.
pub(crate) struct Reports {
    make: Option<MakeReport>,
    newest: Mutex<Option<(Instant, Arc<str>)>>,
    /// One report is made at a time.
    place: Semaphore,
}

impl Reports {
    pub fn new(make: Option<MakeReport>) -> Self {
        Self { make, newest: Mutex::new(None), place: Semaphore::new(1) }
    }

    /// Whether there is a program for the report.
    pub fn are_made(&self) -> bool {
        self.make.is_some()
    }

    /// The newest report. While another request makes one, the one before it is the answer.
    ///
    /// # Errors
    /// Status and sentence for the user.
    pub async fn page(&self, bucket: &Arc<Location>) -> Result<Response, (StatusCode, String)> {
        let Some(make) = self.make else {
            return Err((StatusCode::NOT_FOUND, "This program makes no report.".to_owned()));
        };
        let known = self.newest();
        if let Some((_, page)) = known.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
            return Ok(answer(page));
        }
        let Ok(_place) = self.place.try_acquire() else {
            let busy = "The report is being made; try again in a few seconds.".to_owned();
            return known.map(|(_, page)| answer(&page)).ok_or((StatusCode::SERVICE_UNAVAILABLE, busy));
        };
        let page: Arc<str> = match timeout(WITHIN, make(Arc::clone(bucket))).await {
            Ok(Ok(page)) => page.into(),
            Ok(Err(why)) => return Err((StatusCode::BAD_GATEWAY, why)),
            Err(_) => {
                let slow = "The report was not made within 5 minutes; use `capfilt report`.".to_owned();
                return Err((StatusCode::GATEWAY_TIMEOUT, slow));
            }
        };
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), Arc::clone(&page)));
        Ok(answer(&page))
    }

    fn newest(&self) -> Option<(Instant, Arc<str>)> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn answer(page: &str) -> Response {
    ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(page.to_owned())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    static MADE: AtomicU32 = AtomicU32::new(0);

    fn make(_: Arc<Location>) -> BoxFuture<'static, Result<String, String>> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(format!("report {}", MADE.fetch_add(1, Ordering::Relaxed)))
        })
    }

    async fn text(answer: Response) -> String {
        let bytes = axum::body::to_bytes(answer.into_body(), 1000).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_is_made_once_a_minute_and_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Arc::new(Location::open(folder.path().to_str().unwrap()).unwrap());
        let reports = Reports::new(Some(make));
        let (first, second) = tokio::join!(reports.page(&bucket), reports.page(&bucket));
        assert_eq!(text(first.unwrap()).await, "report 0");
        assert_eq!(second.unwrap_err().0, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text(reports.page(&bucket).await.unwrap()).await, "report 0");
        tokio::time::advance(FRESH).await;
        let (made, old) = tokio::join!(reports.page(&bucket), reports.page(&bucket));
        assert_eq!(
            (text(made.unwrap()).await, text(old.unwrap()).await),
            ("report 1".into(), "report 0".into())
        );
        assert_eq!(Reports::new(None).page(&bucket).await.unwrap_err().0, StatusCode::NOT_FOUND);
    }
}
