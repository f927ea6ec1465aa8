//! Routes of the page.

use crate::{
    aside::aside,
    events::{self, WATCHERS},
    explain::{ExplainError, RowName, find},
    feed::Feed,
    fields::Fields,
    likeness::TextVector,
    page::{self, Abilities},
    pictures::{PictureName, Pictures},
    report::Reports,
    search::{self, Kind, Query, Wanted},
};
use axum::{
    Router,
    body::Bytes,
    extract::{RawQuery, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::{MethodRouter, get, post},
};
use capfilt_coordinator::{
    control, job,
    retry::{self, RetryFilter},
};
use capfilt_schemas::{control::Action, job::JobDigest};
use capfilt_store::{Location, without_secrets};
use std::{fmt::Display, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Searches, and requests for a row, at a time: each reads many objects.
const SEARCHES: usize = 2;

/// Longest time of a request for a row, which reads one commit record per shard.
const ROW_WITHIN: Duration = Duration::from_secs(30);

/// Shared state of the handlers.
pub(crate) struct App {
    pub bucket: Arc<Location>,
    pub digest: Option<JobDigest>,
    pub feed: Feed,
    pub watchers: Arc<Semaphore>,
    pub searches: Semaphore,
    pub reports: Reports,
    /// Computes vectors of texts, for searches by image.
    pub text_vector: Option<TextVector>,
    pub pictures: Pictures,
    /// Sender of controls, for people.
    pub who: String,
}

type Shared = State<Arc<App>>;

impl App {
    pub fn new(
        bucket: Arc<Location>,
        digest: Option<JobDigest>,
        feed: Feed,
        who: String,
        reports: Reports,
        text_vector: Option<TextVector>,
    ) -> Self {
        let (watchers, searches) = (Arc::new(Semaphore::new(WATCHERS)), Semaphore::new(SEARCHES));
        let pictures = Pictures::new(Arc::clone(&bucket), digest.clone());
        Self { bucket, digest, feed, watchers, searches, reports, text_vector, pictures, who }
    }

    fn job(&self) -> String {
        without_secrets(&self.bucket.url)
    }
}

/// Every route. The guard demands the token for all methods but GET and HEAD.
pub(crate) fn table() -> Vec<(&'static str, MethodRouter<Arc<App>>)> {
    vec![
        ("/", get(live)),
        ("/events", get(watch)),
        ("/search", get(find_texts)),
        ("/row", get(show_row)),
        ("/picture", get(picture)),
        ("/report", get(report)),
        (
            "/live.js",
            get(|| async { asset("text/javascript; charset=utf-8", include_str!("../assets/live.js")) }),
        ),
        (
            "/style.css",
            get(|| async { asset("text/css; charset=utf-8", include_str!("../assets/style.css")) }),
        ),
        ("/control", post(take_control)),
        ("/retry", post(take_retry)),
    ]
}

/// The routes as a router without checks.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = table().into_iter().fold(Router::new(), |router, (path, method)| router.route(path, method));
    routes.fallback(|| async { fail(StatusCode::NOT_FOUND, "There is no such page.") }).with_state(app)
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

fn fail(status: StatusCode, why: impl Display) -> Response {
    (status, page::message("Not possible", &why.to_string())).into_response()
}

/// Sentence about a request that was obeyed; it comes from this list, not from the address.
fn sentence(done: &str) -> Option<&'static str> {
    match done {
        "pause" => Some("The job is paused."),
        "resume" => Some("The job is resumed."),
        "drain" => Some("The job is drained: its processes end when the running shards are finished."),
        "retry" => Some("The retry is recorded: the running or the next `capfilt run` executes it."),
        "nothing" => Some("No quarantined row or shard is left to retry."),
        _ => None,
    }
}

async fn live(State(app): Shared, RawQuery(query): RawQuery) -> Html<String> {
    let fields = Fields::of_query(query.as_deref());
    let (view, done) = (app.feed.current().await, fields.get("done").and_then(sentence));
    let abilities = Abilities { report: app.reports.are_made(), images: app.text_vector.is_some() };
    page::live(&app.job(), &view, abilities, done)
}

async fn watch(State(app): Shared) -> Response {
    let Ok(place) = Arc::clone(&app.watchers).try_acquire_owned() else {
        return fail(StatusCode::SERVICE_UNAVAILABLE, "Too many pages watch this job; close some.");
    };
    events::answer(&app.feed, place)
}

async fn find_texts(State(app): Shared, RawQuery(query): RawQuery) -> Response {
    let fields = Fields::of_query(query.as_deref());
    let query = Query { q: fields.get("q").unwrap_or("").to_owned(), kind: Kind::of(fields.get("kind")) };
    let Ok(_place) = app.searches.try_acquire() else { return busy() };
    let view = app.feed.current().await;
    let (bucket, digest) = (Arc::clone(&app.bucket), app.digest.clone());
    let (asked, text_vector) = (query.clone(), app.text_vector.clone());
    let searched = aside(move || async move {
        let wanted = wanted(&asked, text_vector.as_ref())?;
        Ok::<_, String>(search::search(&bucket, digest.as_ref(), &view.snapshot.commits, wanted).await)
    });
    match searched.await {
        Some(Ok(found)) => {
            page::results(&app.job(), &query, app.text_vector.is_some(), &found).into_response()
        }
        Some(Err(why)) => fail(StatusCode::BAD_REQUEST, why),
        None => ended(),
    }
}

/// Meaning of a query for the rows.
///
/// # Errors
/// A sentence for the user.
fn wanted(query: &Query, text_vector: Option<&TextVector>) -> Result<Wanted, String> {
    if query.kind != Kind::Image {
        return query.pattern().map(Wanted::Text);
    }
    query.check()?;
    let none = "This page searches no images: start `capfilt serve` with `--search-model`.";
    Ok(Wanted::image(text_vector.ok_or(none)?(&query.q)?))
}

fn ended() -> Response {
    fail(StatusCode::INTERNAL_SERVER_ERROR, "The request ended by a fault of the program; see its log.")
}

fn busy() -> Response {
    fail(StatusCode::SERVICE_UNAVAILABLE, "Other searches are running; try again in a few seconds.")
}

async fn show_row(State(app): Shared, RawQuery(query): RawQuery) -> Response {
    let fields = Fields::of_query(query.as_deref());
    let name = match (fields.get("key"), fields.get("address")) {
        (Some(key), None) => RowName::Key(key.to_owned()),
        (None, Some(address)) => match RowName::address(address) {
            Ok(name) => name,
            Err(why) => return fail(StatusCode::BAD_REQUEST, why),
        },
        _ => return fail(StatusCode::BAD_REQUEST, "Give the key or the address of a row."),
    };
    let Ok(_place) = app.searches.try_acquire() else { return busy() };
    let bucket = Arc::clone(&app.bucket);
    let found = aside(move || async move { tokio::time::timeout(ROW_WITHIN, find(&bucket, &name)).await });
    match found.await {
        Some(Ok(Ok(rows))) => page::rows(&app.job(), &app.bucket, &rows).into_response(),
        Some(Ok(Err(error @ ExplainError::NotFound { .. }))) => fail(StatusCode::NOT_FOUND, error),
        Some(Ok(Err(error))) => fail(StatusCode::BAD_GATEWAY, error),
        Some(Err(_)) => fail(
            StatusCode::GATEWAY_TIMEOUT,
            "The row was not found within 30 seconds; use `capfilt explain`.",
        ),
        None => ended(),
    }
}

async fn picture(State(app): Shared, RawQuery(query): RawQuery) -> Response {
    match PictureName::of(&Fields::of_query(query.as_deref())) {
        Some(name) => app.pictures.answer(name).await,
        None => fail(StatusCode::BAD_REQUEST, "A picture has a shard, the number of a commit and a row."),
    }
}

async fn report(State(app): Shared) -> Response {
    app.reports.page(&app.bucket).await.unwrap_or_else(|(status, why)| fail(status, why))
}

async fn take_control(State(app): Shared, form: Bytes) -> Response {
    let Some(action) = Fields::parse(&form).get("action").and_then(Action::parse) else {
        return fail(StatusCode::UNPROCESSABLE_ENTITY, "The action is pause, resume or drain.");
    };
    match control::write(&app.bucket, action, &app.who).await {
        Ok(_) => Redirect::to(&format!("/?done={action}")).into_response(),
        Err(error) => fail(StatusCode::BAD_GATEWAY, error),
    }
}

async fn take_retry(State(app): Shared) -> Response {
    let bucket = Arc::clone(&app.bucket);
    match aside(move || async move { record_retry(&bucket).await }).await {
        Some(Ok(did)) => Redirect::to(&format!("/?done={did}")).into_response(),
        Some(Err(error)) => fail(StatusCode::BAD_GATEWAY, error),
        None => ended(),
    }
}

/// Records a retry of everything quarantined, under the limits of the job.
async fn record_retry(bucket: &Location) -> Result<&'static str, job::JobError> {
    let (record, _) = job::load(bucket).await?;
    let wanted = RetryFilter::everything();
    let found = retry::find(bucket, &wanted).await?;
    if found.is_empty() {
        return Ok("nothing");
    }
    found.record(bucket, &wanted, record.settings.limits).await?;
    Ok("retry")
}
