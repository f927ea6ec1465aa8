//! A control: the recorded request to pause, resume or drain a job.

use crate::{job::JobDigest, record::Record, status::closed_set};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the control record.
pub const VERSION: u32 = 1;

/// Longest name of the sender of a control, in characters; the rest of a longer name is cut off.
const WHO_CHARS: usize = 200;

closed_set! {
    /// Request to the processes of a job.
    Action {
        /// Hand out no further shard; running shards finish.
        Pause = "pause",
        /// Hand out shards again, after a pause or a drain.
        Resume = "resume",
        /// Hand out no further shard, and end when the running shards are finished.
        Drain = "drain",
    }
}

/// `controls/<n>.json`, create-only. The record with the highest number is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Number of the control.
    pub n: u32,
    /// The request.
    pub action: Action,
    /// Time of the request, in milliseconds since 1970 (UTC), by the clock of its sender. For people: only
    /// the number orders the controls.
    pub time_ms: u64,
    /// Sender of the request, for people.
    pub who: String,
    /// The job of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Control {
    /// The first control of a job; the writer of the record raises the number.
    pub fn new(action: Action, time_ms: u64, who: &str, job: Option<JobDigest>) -> Self {
        let who = who.chars().take(WHO_CHARS).collect();
        Self { version: VERSION, n: 0, action, time_ms, who, job }
    }
}

impl Record for Control {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "control";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_of_the_sender_is_cut() {
        let control = Control::new(Action::Pause, 0, &"ä".repeat(1000), None);
        assert_eq!(control.who.chars().count(), WHO_CHARS);
    }
}
