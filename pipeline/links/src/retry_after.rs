//! `Retry-After`: seconds, or a date.

use chrono::DateTime;
use std::time::{Duration, SystemTime};

/// Wait that a host asks for; `None` for a value that is neither seconds nor a date.
pub(crate) fn wait(value: &[u8], now: SystemTime) -> Option<Duration> {
    let value = std::str::from_utf8(value).ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?.timestamp();
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(u64::try_from(date).ok()?.saturating_sub(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 30);
        assert_eq!(wait(b" 120 ", now), Some(Duration::from_secs(120)));
        assert_eq!(wait(b"Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(30)));
        assert_eq!(wait(b"Tue, 06 Nov 1984 08:49:37 GMT", now), Some(Duration::ZERO));
        for other in [&b"soon"[..], b"-1", b"1.5", b"\xff", b""] {
            assert_eq!(wait(other, now), None);
        }
    }
}
