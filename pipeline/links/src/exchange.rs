//! One request and its answer.

use crate::{
    answer::{Answer, Failure, cause, read_body},
    link::follow,
    retry_after, robots,
    room::Seat,
};
use capfilt_schemas::settings::Links;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_ENCODING, LOCATION, RETRY_AFTER},
};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use url::Url;

/// Bounds of one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Time for the whole answer.
    pub time: Duration,
    /// Most bytes of an image.
    pub bytes: u64,
}

/// Requests a URL. `answered` is called when the head of an answer arrives.
pub(crate) async fn exchange(
    client: &Client,
    url: &Url,
    settings: &Links,
    bounds: Bounds,
    seat: &mut Seat,
    answered: impl FnOnce(),
) -> Answer {
    let idle = Duration::from_secs(settings.idle_seconds.into());
    let connect = Duration::from_secs(settings.connect_seconds.into());
    let exchanged = timeout(bounds.time, async {
        match timeout(connect + idle, client.get(url.clone()).send()).await {
            Err(_) => Answer::failed(format!("no answer within {} s", (connect + idle).as_secs())),
            Ok(Err(error)) => Answer::failed(no_answer(error)),
            Ok(Ok(response)) => {
                answered();
                match head(&response, url, settings) {
                    Some(answer) => answer,
                    None => read_body(response, bounds.bytes, seat, idle).await,
                }
            }
        }
    });
    let late = |_| Answer::failed(format!("not finished within {} s", settings.total_seconds));
    exchanged.await.unwrap_or_else(late)
}

fn no_answer(error: reqwest::Error) -> String {
    let doing = if error.is_connect() { "no connection" } else { "no answer" };
    let why = if error.is_timeout() { "time is over".to_owned() } else { cause(error) };
    format!("{doing}: {why}")
}

/// The result that the head of an answer has; `None` if the body must be read.
fn head(response: &Response, url: &Url, settings: &Links) -> Option<Answer> {
    let (status, headers) = (response.status(), response.headers());
    if settings.respect_robots_tag && (status.is_success() || status.is_redirection()) {
        let tags = headers.get_all("x-robots-tag").iter().map(|value| value.as_bytes());
        if let Some(tag) = robots::forbidden(tags, &settings.user_agent) {
            return Some(Answer::refused(format!("X-Robots-Tag: {tag}; links.respect_robots_tag obeys it")));
        }
    }
    if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        let location = headers.get(LOCATION).and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        return Some(match location.map(|location| follow(url, location)) {
            None => Answer::unreachable(format!("HTTP {status} without a Location")),
            Some(Err(why)) => Answer::refused(why),
            Some(Ok(url)) => Answer::Redirect(url),
        });
    }
    if status != StatusCode::OK {
        return Some(of_status(response));
    }
    let encoding = headers.get(CONTENT_ENCODING).map(|value| value.as_bytes());
    let is_plain = encoding.is_none_or(|value| value.is_empty() || value.eq_ignore_ascii_case(b"identity"));
    (!is_plain).then(|| Answer::unreachable("the answer is compressed, which was not asked for"))
}

/// Result of an answer without an image. Some statuses may pass.
fn of_status(response: &Response) -> Answer {
    let status = response.status();
    let why = format!("HTTP {status}");
    if !matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504) {
        return Answer::unreachable(why);
    }
    let asked = response.headers().get(RETRY_AFTER);
    let retry_after = asked.and_then(|value| retry_after::wait(value.as_bytes(), SystemTime::now()));
    let why = match retry_after {
        Some(wait) => format!("{why}, Retry-After {} s", wait.as_secs()),
        None => why,
    };
    Answer::Failed(Failure { why, retry_after })
}
