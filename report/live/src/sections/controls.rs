//! State of the job in a sentence: done, paused, drained, stalled, or an error of the store.

use super::{duration, visible};
use crate::snapshot::Snapshot;
use capfilt_schemas::control::{Action, Control};
use maud::{Markup, html};
use std::time::SystemTime;

pub(super) fn state(snapshot: &Snapshot) -> Markup {
    let Snapshot { status, error, .. } = snapshot;
    let stalled = status.pace.as_ref().filter(|pace| pace.stands_still);
    html! {
        @if let Some(error) = error {
            p.bad { "The job could not be read, and the page shows an earlier state: " (visible(error)) }
        }
        @if status.done {
            p.good { "The job is done: " (visible(status.manifest.as_deref().unwrap_or(""))) }
        } @else if status.to_seal {
            p { "Every shard has its result. " code { "capfilt run" } " writes the manifest." }
        } @else if let Some(control) = snapshot.hold() {
            (in_force(control))
        } @else if let Some(pace) = stalled {
            p.bad {
                "No shard was committed for " (duration(pace.seconds_since_commit)) ". Is "
                code { "capfilt run" } " running?"
            }
        } @else if status.pace.is_none() {
            p { "No shard is committed yet." }
        } @else {
            p.good { "The job is running." }
        }
    }
}

fn in_force(control: &Control) -> Markup {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let since = now.as_secs_f64() - control.time_ms as f64 / 1000.0;
    let (word, effect) = match control.action {
        Action::Pause => ("Paused", "no further shard is handed out, and running shards finish"),
        Action::Drain => {
            ("Drained", "running shards finish, then the processes of the job end; `capfilt run` resumes")
        }
        Action::Resume => ("Resumed", "shards are handed out"),
    };
    html! {
        p.warn {
            strong { (word) } ": " (effect) ". Requested " (duration(since)) " ago by "
            (visible(&control.who)) "."
        }
    }
}
