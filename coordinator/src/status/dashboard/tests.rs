use super::*;
use crate::{
    FailedAttempt, KeptTexts, States, WorkerThroughput,
    dispatch::cluster::{Live, LiveWorker},
};
use capfilt_schemas::{failure::FailureClass, plan::ShardId};

/// A text that acts on a terminal, with wide characters.
const HOSTILE: &str = "\u{1b}[2J\u{7}\r\n\u{202e}漢字\u{200b}\u{9b}31m";

fn status() -> Status {
    let states = |committed| States { planned: 2400, committed, quarantined: 200, open: 1000, repairing: 0 };
    let kept = KeptTexts { kept: 40, judged: 100, share: Some(0.4) };
    let worker = |name: &str, is_slow| WorkerThroughput {
        worker: name.to_owned(),
        shards: 3,
        rows: 600,
        images_per_second: 12.34,
        batch: 16,
        seconds_since_commit: 3.0,
        is_slow,
        is_silent: false,
    };
    let failure = FailedAttempt {
        shard: ShardId::parse("0123456789abcdef0123").unwrap(),
        worker: HOSTILE.to_owned(),
        class: FailureClass::Store,
        message: format!("{HOSTILE} does not answer"),
    };
    Status {
        shards: States { planned: 12, committed: 6, quarantined: 1, open: 5, repairing: 0 },
        rows: states(1200),
        rows_exact: true,
        rows_by_status: Default::default(),
        kept: crate::Kept {
            texts: [(HOSTILE.to_owned(), kept), ("synthetic".to_owned(), kept)].into(),
            pairs: 9,
        },
        counted: crate::Counted { commits: 6, read: 6, is_estimate: false },
        pace: Some(Throughput {
            commits: 6,
            images_per_second: 24.7,
            rows_per_second: 25.0,
            stage_seconds: StageSeconds { fetch: 1.0, decode: 2.0, device: 6.0, write: 1.0 },
            workers: vec![worker("host-1", true), worker(HOSTILE, false)],
            seconds_since_commit: 3.0,
            seconds_left: Some(40.0),
            stands_still: false,
        }),
        failures: [(FailureClass::Store, 2)].into(),
        newest_failures: vec![failure],
        refused: Vec::new(),
        done: false,
        to_seal: false,
        manifest: None,
    }
}

fn live() -> Live {
    let worker = LiveWorker {
        worker: HOSTILE.to_owned(),
        devices: vec!["cpu".to_owned()],
        devices_ready: 1,
        in_hand: Vec::new(),
        rows: 10,
        wasted_rows: 0,
        images_per_second: 1.0,
        seconds_up: 5.0,
        seconds_since_heard: 0.5,
    };
    Live { workers: vec![worker], ..Live::default() }
}

#[test]
fn no_line_is_wider_than_the_window_and_no_character_acts_on_the_terminal() {
    let (status, live) = (status(), live());
    for columns in 1..=200 {
        for rows in [1, 2, 5, 24, 60] {
            for live in [None, Some(&live)] {
                let lines = status.dashboard(live, &format!("s3://b/{HOSTILE}"), columns, rows);
                assert!(lines.len() <= rows && !lines.is_empty(), "{columns} x {rows}: {lines:?}");
                for line in &lines {
                    assert!(line.width() <= columns, "{columns}: {line:?}");
                    let acts = |c: char| c.is_control() || c.width() == Some(0) || c == '\u{202e}';
                    assert!(!line.contains(acts), "{line:?}");
                }
            }
        }
    }
    assert!(status.dashboard(None, "s3://b", 80, 0).is_empty());
}

#[test]
fn the_page_has_progress_stages_sources_workers_errors_and_the_slowest_stage() {
    let page = status().dashboard(None, "s3://b/job", 120, 40).join("\n");
    for expected in [
        "s3://b/job",
        "rows    #######################-----------------  58.3 %  1400 of 2400",
        "shards  #######################-----------------  58.3 %  7 of 12",
        "speed   24.7 img/s by 2 workers, 40 s left",
        "limit   device takes 60 % of the time",
        "device  ########################----------------  60.0 %",
        "kept    ################------------------------  40.0 %  40 of 100 synthetic texts",
        "lost    1 shards with 200 rows are in quarantine",
        "failed  2 attempts: store",
        "error   store: \\u{1b}[2J",
        "slow    host-1: 12.3 img/s at batch 16, last commit 3 s ago",
    ] {
        assert!(page.contains(expected), "{expected} is not in\n{page}");
    }
    let narrow = status().dashboard(None, "s3://b/job", 40, 40);
    assert_eq!(narrow[1], "rows     58.3 %  1400 of 2400");
    let low = status().dashboard(None, "s3://b/job", 80, 3);
    assert!(low[1].starts_with("rows") && low[2].contains("more lines"), "{low:?}");
}

#[test]
fn stages_of_equal_time_have_no_slowest_one() {
    let even = StageSeconds { fetch: 1.0, decode: 1.0, device: 1.0, write: 1.0 };
    assert_eq!(limit(&even), None);
    let decode = StageSeconds { decode: 5.0, ..even };
    assert!(limit(&decode).unwrap().contains("decode_threads"));
}
