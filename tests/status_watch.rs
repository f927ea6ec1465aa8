//! The promise of `capfilt status --watch`: on a terminal, a page that fits the window, is drawn in place,
//! and leaves the terminal as it was; without one, a line per change.

use crate::support::{
    Job, expect,
    process::Process,
    shared::job_of,
    terminal::{Session, in_terminal},
};
use serde_json::json;
use std::fs;

const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// A planned job of twelve shards without a worker, with a failure whose texts act on a terminal.
fn planned() -> Job {
    let job = job_of(12, 40);
    expect(job.command("run").arg("--plan-only"), 0);
    let shard = "0123456789abcdef0123";
    let attempt = "0123456789abcdef0123456789abcdef";
    let folder = job.objects.join("failures").join(shard);
    fs::create_dir_all(&folder).unwrap();
    let text = "\u{1b}[2J\u{1b}]0;title\u{7}\r\n\u{202e}the store does not answer ".repeat(9);
    let record = json!({
        "version": 1, "shard": shard, "attempt": attempt, "worker": "\u{1b}[31mhost", "class": "store",
        "message": text,
    });
    fs::write(folder.join(format!("{attempt}.json")), record.to_string()).unwrap();
    job
}

fn watch(job: &Job, size: [u16; 2], steps: serde_json::Value) -> Session {
    in_terminal(size, &[], steps, &["status", "--job", &job.url, "--watch"])
}

/// Pages of an output: lines without the sequences that draw them.
fn pages(output: &str) -> Vec<Vec<String>> {
    let page = |page: &str| {
        let lines = page.strip_suffix("\x1b[J").unwrap_or(page).split("\r\n");
        lines.map(|line| line.strip_suffix("\x1b[K").unwrap_or(line).to_owned()).collect()
    };
    output.split("\x1b[H").skip(1).map(page).collect()
}

/// Columns of a line; the pages of these tests have narrow characters only.
fn assert_fits(pages: &[Vec<String>], [columns, lines]: [u16; 2]) {
    assert!(!pages.is_empty());
    for page in pages {
        assert!(page.len() <= usize::from(lines), "{page:#?}");
        for line in page {
            assert!(line.chars().count() <= usize::from(columns), "{columns}: {line:?}");
            let acts = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!line.contains(acts), "{line:?}");
        }
    }
}

#[test]
fn a_page_fits_each_window_follows_its_size_and_leaves_the_terminal_as_it_was() {
    let job = planned();
    for size in [[40, 24], [120, 40], [20, 4], [200, 60]] {
        let other = [120 - size[0] / 2, 12];
        let steps = json!([
            ["until", "\x1b[J"],
            ["until", "\x1b[J"],
            ["resize", other[0], other[1]],
            ["until", "\x1b[J"],
            ["until", "\x1b[J"],
            ["type", "\x03"]
        ]);
        let session = watch(&job, size, steps);
        assert_eq!((session.code, session.has_same_modes), (130, true), "{size:?}");
        let text = session.text();
        assert!(text.starts_with(ENTER) && text.ends_with(LEAVE), "{text:?}");
        let drawn = text.trim_start_matches(ENTER).trim_end_matches(LEAVE).trim_end_matches("^C");
        let pages = pages(drawn);
        // A page may have been drawn just before the window changed.
        let (before, after) = (&pages[..2], &pages[pages.len() - 1..]);
        assert_fits(before, size);
        assert_fits(after, other);
        assert!(before[0].iter().any(|line| line.starts_with("rows ")), "{before:?}");
        if size[0] >= 120 {
            let page = before[0].join("\n");
            let error = r"error   store: \u{1b}[2J\u{1b}]0;title\u{7}\u{d}\u{a}\u{202e}the store";
            assert!(page.contains(error) && page.contains("0 of 480"), "{page}");
        }
    }
}

#[test]
fn a_watched_job_ends_with_its_page_on_the_terminal_and_without_one_no_line_is_repeated() {
    let job = job_of(12, 40);
    expect(job.command("run").arg("--plan-only"), 0);
    let mut lines = Process::start(&job, "lines", job.command_by_url("status").arg("--watch"));
    let mut run = Process::start(&job, "run", &mut job.command("run"));
    let session = watch(&job, [100, 30], json!([["until", "\x1b[J"]]));
    assert_eq!((run.code(), lines.code()), (Some(0), Some(0)), "{}\n{}", run.log(), lines.log());
    assert_eq!((session.code, session.has_same_modes), (0, true));
    let text = session.text();
    let (drawn, left) = text.rsplit_once(LEAVE).unwrap();
    assert!(drawn.starts_with(ENTER) && !left.contains('\x1b'), "{text:?}");
    assert!(left.contains("12 of 12 committed") && left.contains("manifests/0.json"), "{left}");
    let log = lines.log();
    let printed: Vec<&str> = log.lines().collect();
    assert!(printed.windows(2).all(|pair| pair[0] != pair[1]), "{log}");
    assert!(printed.last().unwrap().starts_with("12 of 12 shards"), "{log}");
}

#[test]
fn a_terminal_that_cannot_be_drawn_on_gets_lines() {
    let job = job_of(3, 20);
    job.run();
    let session =
        in_terminal([80, 24], &[("TERM", "dumb")], json!([]), &["status", "--job", &job.url, "--watch"]);
    assert_eq!(session.code, 0);
    assert!(!session.text().contains('\x1b') && session.text().starts_with("3 of 3 shards"));
}
