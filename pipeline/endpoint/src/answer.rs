//! Answers of an endpoint: a status and a body become a caption or an error.

use crate::error::RequestError;
use serde::Deserialize;
use std::time::{Duration, SystemTime};

/// Bytes of the largest answer that is read. A caption has a few hundred.
pub(crate) const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Characters of an endpoint's message that an error shows.
const SHOWN: usize = 300;

/// Fields of a chat completion that are read; all other fields are ignored.
#[derive(Debug, Deserialize)]
struct Completion {
    choices: Vec<Choice>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    message: Message,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

/// The caption of a successful answer.
///
/// # Errors
/// An answer that is not a completion, or that has no text.
pub(crate) fn caption(body: &[u8], text_bytes: usize) -> Result<String, RequestError> {
    let completion: Completion = serde_json::from_slice(body).map_err(|error| {
        RequestError::Failed(format!("the answer is not a chat completion ({error}): {}", shown(body)))
    })?;
    let Some(choice) = completion.choices.into_iter().next() else {
        return Err(RequestError::Failed("the answer has no choices".to_owned()));
    };
    if let Some(refusal) = choice.message.refusal.filter(|refusal| !refusal.is_empty()) {
        return Err(RequestError::Refused(format!("the model refuses: {}", shown(refusal.as_bytes()))));
    }
    if choice.finish_reason.as_deref() == Some("content_filter") {
        return Err(RequestError::Refused("the endpoint's content filter removed the caption".to_owned()));
    }
    let text = choice.message.content.unwrap_or_default();
    let text = text.trim();
    if text.is_empty() {
        return Err(RequestError::Failed("the caption is empty".to_owned()));
    }
    if text.len() > text_bytes {
        let bytes = text.len();
        return Err(RequestError::Refused(format!(
            "the caption has {bytes} bytes; limits.text_bytes is {text_bytes}"
        )));
    }
    Ok(text.to_owned())
}

/// Error of an answer whose status is not success.
pub(crate) fn failure(status: u16, retry_after: Option<&str>, body: &[u8]) -> RequestError {
    let why = format!("status {status}: {}", shown(body));
    match status {
        408 | 425 | 429 | 502..=504 | 529 => {
            RequestError::Unavailable { why, retry_after: retry_after.and_then(wait) }
        }
        400 | 413 | 415 | 422 => RequestError::Refused(why),
        300..=399 => {
            RequestError::Rejected(format!("{why}; redirects are not followed: use the new address"))
        }
        401..=499 => RequestError::Rejected(why),
        _ => RequestError::Failed(why),
    }
}

/// Wait of a `Retry-After`: seconds, or a date.
fn wait(retry_after: &str) -> Option<Duration> {
    match retry_after.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = httpdate::parse_http_date(retry_after.trim()).ok()?;
            Some(at.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

/// Models that an endpoint lists; `None` for an answer of another form.
pub(crate) fn models(body: &[u8]) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct List {
        data: Vec<Model>,
    }
    #[derive(Deserialize)]
    struct Model {
        id: String,
    }
    let list: List = serde_json::from_slice(body).ok()?;
    Some(list.data.into_iter().map(|model| model.id).collect())
}

/// The beginning of a text for a message, in one line.
pub(crate) fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * SHOWN)]);
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    line.trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<String, RequestError> {
        caption(body.as_bytes(), 100)
    }

    #[test]
    fn the_caption_is_the_first_choice_without_white_space_around_it() {
        let body = r#"{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":" A dog.\n"},
                      "finish_reason":"stop"}],"usage":{"total_tokens":3}}"#;
        assert_eq!(of(body).unwrap(), "A dog.");
    }

    #[test]
    fn an_answer_without_a_caption_is_a_failure_and_a_refusal_is_final() {
        for failed in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"choices":[]}"#,
            r#"{"choices":[{"message":{"content":null}}]}"#,
            r#"{"choices":[{"message":{"content":"  "}}]}"#,
            r#"{"choices":[{"message":{"content":["a"]}}]}"#,
        ] {
            assert!(matches!(of(failed), Err(RequestError::Failed(_))), "{failed}");
        }
        let long = format!(r#"{{"choices":[{{"message":{{"content":"{}"}}}}]}}"#, "a".repeat(101));
        for refused in [
            r#"{"choices":[{"message":{"content":null,"refusal":"I cannot"}}]}"#,
            r#"{"choices":[{"message":{"content":"a"},"finish_reason":"content_filter"}]}"#,
            &long,
        ] {
            assert!(matches!(of(refused), Err(RequestError::Refused(_))), "{refused}");
        }
    }

    #[test]
    fn the_status_says_whether_the_request_the_image_or_the_moment_is_wrong() {
        let kind = |status| match failure(status, None, b"why") {
            RequestError::Unavailable { .. } => "unavailable",
            RequestError::Failed(_) => "failed",
            RequestError::Refused(_) => "refused",
            RequestError::Rejected(_) => "rejected",
        };
        for (statuses, expected) in [
            (&[408, 425, 429, 502, 503, 504, 529][..], "unavailable"),
            (&[500, 501, 507, 600], "failed"),
            (&[400, 413, 415, 422], "refused"),
            (&[301, 307, 401, 403, 404, 405], "rejected"),
        ] {
            statuses.iter().for_each(|status| assert_eq!(kind(*status), expected, "{status}"));
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_anything_else_is_ignored() {
        assert_eq!(wait(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(wait(&later).unwrap() > Duration::from_secs(90));
        assert_eq!((wait("-1"), wait("soon")), (None, None));
    }

    #[test]
    fn models_are_read_from_a_list_and_from_nothing_else() {
        assert_eq!(models(br#"{"object":"list","data":[{"id":"a"},{"id":"b"}]}"#).unwrap(), ["a", "b"]);
        assert_eq!(models(b"<html>"), None);
    }

    #[test]
    fn a_message_is_one_short_line() {
        assert_eq!(shown(b"a\nb\x00c"), "a b c");
        assert!(shown("é".repeat(9999).as_bytes()).chars().count() <= SHOWN);
    }
}
