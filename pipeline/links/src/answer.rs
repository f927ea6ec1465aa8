//! Result of one request, and the reading of an answer's body within bounds.

use crate::{link::Fetched, room::Seat};
use bytes::{Bytes, BytesMut};
use reqwest::{
    Response,
    header::{CONTENT_TYPE, HeaderMap},
};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// Bytes that are reserved before the size of a body is known, and the steps in which a body may grow.
pub(crate) const FIRST_BYTES: u64 = 256 << 10;

/// Result of one request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The image is at another URL.
    Redirect(Url),
    /// The link's result.
    Done(Fetched),
    /// The body needs this number of bytes of room, which are not free; its connection is closed.
    NoRoom(u64),
    /// No result; another try may have one.
    Failed(Failure),
}

/// A request without a result.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Reason, for people.
    pub why: String,
    /// Wait that the host asks for.
    pub retry_after: Option<Duration>,
}

impl Answer {
    pub(crate) fn failed(why: impl ToString) -> Self {
        Self::Failed(Failure { why: why.to_string(), retry_after: None })
    }

    pub(crate) fn unreachable(why: impl ToString) -> Self {
        Self::Done(Fetched::Unreachable(why.to_string()))
    }

    pub(crate) fn refused(why: impl ToString) -> Self {
        Self::Done(Fetched::Refused(why.to_string()))
    }
}

/// Reads a body of at most `most` bytes that arrives without a pause of `idle`.
pub(crate) async fn read_body(mut response: Response, most: u64, seat: &mut Seat, idle: Duration) -> Answer {
    let too_large = |bytes: &str| {
        Answer::Done(Fetched::TooLarge(format!("it has {bytes} bytes; limits.image_bytes is {most}")))
    };
    let length = response.content_length();
    if let Some(length) = length.filter(|length| *length > most) {
        return too_large(&length.to_string());
    }
    let mut body = BytesMut::new();
    loop {
        let chunk = match timeout(idle, response.chunk()).await {
            Err(_) => return Answer::failed(format!("the body pauses for {} s", idle.as_secs())),
            Ok(Err(error)) => return Answer::failed(format!("the body is incomplete: {}", cause(error))),
            Ok(Ok(None)) => break,
            Ok(Ok(Some(chunk))) => chunk,
        };
        let bytes = (body.len() + chunk.len()) as u64;
        if bytes > most {
            return too_large(&format!("more than {most}"));
        }
        let wanted = grown(bytes, length.unwrap_or(most));
        if !seat.try_hold(wanted) {
            return Answer::NoRoom(wanted);
        }
        body.extend_from_slice(&chunk);
    }
    seat.keep(body.len() as u64);
    accepted(body.freeze(), response.headers())
}

/// Bytes of room for a body that has `bytes` bytes by now: the next step of a doubling, so that a body is
/// given up a few times at most, and not more than it can have.
fn grown(bytes: u64, most: u64) -> u64 {
    bytes.next_power_of_two().max(FIRST_BYTES).min(most.max(bytes))
}

/// A page in place of an image is the usual end of a link. Bytes of any format are left to the decoder, and
/// so is a text that claims to be an image.
fn accepted(body: Bytes, headers: &HeaderMap) -> Answer {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if body.is_empty() {
        return Answer::unreachable("the answer has no bytes");
    }
    if !kind.starts_with("image/") && is_text(&body) {
        let kind = if kind.is_empty() { "a text" } else { &kind };
        return Answer::unreachable(format!("the answer is {kind}, not an image"));
    }
    Answer::Done(Fetched::Bytes(body))
}

/// Whether bytes begin as a text in UTF-8. The first bytes of all image formats contain some that no text
/// has, or a name that is checked here.
fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(32)];
    let is_image = [&b"GIF8"[..], b"RIFF", b"BM", b"II*", b"MM"].iter().any(|name| start.starts_with(name));
    let text = match std::str::from_utf8(start) {
        Ok(text) => text,
        // The last character is cut.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !is_image && !text.chars().any(|c| c.is_control() && !c.is_whitespace())
}

/// Innermost reason of an HTTP client's error. The outer ones contain the URL, and with it possible secrets.
pub(crate) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_told_from_images_by_their_bytes() {
        for page in ["<!DOCTYPE html>", " \n<html>", "{\"error\": 1}", "Not found", "\u{feff}<html>", "не"]
        {
            assert!(is_text(page.as_bytes()), "{page}");
        }
        for image in [
            &b"\xff\xd8\xff\xe0abc"[..],
            b"\x89PNG\r\n\x1a\n",
            b"RIFFabcdWEBPVP8 abcdefghijklmnop",
            b"GIF89aaaaaaaaaaa",
            b"BMaaaaaaaa",
        ] {
            assert!(!is_text(image));
        }
    }

    #[test]
    fn room_for_a_body_grows_in_steps() {
        assert_eq!(grown(1, 50 << 20), FIRST_BYTES);
        assert_eq!(grown(300 << 10, 50 << 20), 512 << 10);
        assert_eq!(grown(300 << 10, 310 << 10), 310 << 10);
        assert_eq!(grown(50 << 20, 50 << 20), 50 << 20);
        assert_eq!(grown(10, 8), 10);
    }
}
