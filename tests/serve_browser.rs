//! The live page of a job in headless Chromium: wide and narrow, light and dark, with and without scripts,
//! while the job runs, and with texts that try to act.

use crate::support::{
    Job, expect,
    page::{Page, TOKEN},
    process::{Process, committed_shards, wait_until},
    python, repo,
    shared::job_of,
    tables::json_of,
    tools::{self, need},
};
use serde_json::{Value, json};
use std::process::Command;

/// Longest median time from a commit to its number on the page, in milliseconds.
const FRESH_MS: u64 = 2000;

/// Observations of a script of the tests in the browser.
fn seen(script: &str, page: &Page, file: &std::path::Path) -> Value {
    let mut node = Command::new("node");
    node.arg(repo().join(script)).arg(repo().join(".browser")).arg(tools::chromium());
    node.arg(format!("http://{}", page.address)).arg(file).env("PAGE_TOKEN", TOKEN);
    node.args(std::env::var_os("CAPFILT_SCREENSHOTS"));
    json_of(&mut node)
}

/// Nothing ran, nothing was fetched from elsewhere, and no reader is left out.
fn assert_quiet(found: &Value) {
    for field in ["ran", "fetched", "errors", "axe", "overflow"] {
        assert_eq!(found[field], json!([]), "{field}");
    }
}

fn has(text: &Value, part: &str) -> bool {
    text.as_str().unwrap().contains(part)
}

#[test]
fn a_running_job_is_watched_paused_and_resumed_in_a_browser() {
    if !need(&tools::BROWSER) {
        return;
    }
    let job = job_of(120, 20).set(&["captioner.captions=6"]);
    let run = Process::start(&job, "run", &mut job.command("run"));
    wait_until(|| committed_shards(&job) > 0);
    let page = Page::serve(&job, "page");
    let found = seen("tests/serve_browser.mjs", &page, &job.objects.join("commits"));
    assert_quiet(&found);
    let mut delays: Vec<u64> =
        found["delays"].as_array().unwrap().iter().map(|delay| delay.as_u64().unwrap()).collect();
    delays.sort_unstable();
    println!("milliseconds from a commit to the page: {delays:?}");
    assert!(delays.len() >= 4 && delays[delays.len() / 2] <= FRESH_MS, "{delays:?}");
    assert!(has(&found["running"], "The job is running."), "{}", found["running"]);
    let plain = &found["plain"];
    assert!(has(&plain["state"], "Paused") && has(&plain["connection"], "reload"), "{plain}");
    assert!(plain["rows"].as_u64() > Some(3) && plain["found"].as_u64() > Some(0), "{plain}");
    assert!(has(&found["row"], "P(match)") && has(&found["row"], "attempt"), "{}", found["row"]);
    assert_eq!((has(&found["empty"], "control"), &found["posted"]), (false, &json!(403)));
    assert!(has(&found["wrong"], "the token is missing or wrong"), "{}", found["wrong"]);
    assert_eq!(found["pause"], "The job is paused.");
    assert_eq!(found["resume"], "The job is resumed.");
    let framed = &found["framed"];
    assert!(!has(&framed["text"], "Newest rows") && !has(&framed["url"], &page.address), "{framed}");
    assert!(run.log().contains("paused by \"the live page at ") && run.log().contains("resumed by"));
}

#[test]
fn hostile_texts_are_shown_as_text_on_the_live_page() {
    if !need(&tools::BROWSER) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (web, texts) = (folder.path().join("web"), folder.path().join("texts.json"));
    std::fs::create_dir(&web).unwrap();
    let input = web.join("<img src=x onerror=alert(1)>.parquet");
    let mut make = python("tests/report_hostile.py");
    expect(make.arg(&input).arg(&texts), 0);
    let job = Job::over(&web.display().to_string());
    // Exit code 1: two rows, whose images are markup, are in quarantine.
    expect(&mut job.command("run"), 1);
    let page = Page::serve(&job, "page");
    let found = seen("tests/serve_hostile.mjs", &page, &texts);
    assert_quiet(&found);
    assert_eq!(found["elements"], json!([]), "no text is an element");
    let shown = found["shown"].as_array().unwrap();
    assert_eq!(shown.len(), 4);
    for text in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "javascript:alert(1)",
        "\\u{202e}txet desrever\\u{2066}",
        "zero\\u{0}byte and \\u{1b}[2J",
        "<img src=x onerror=alert(1)>.parquet#",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] {
        let lacking: Vec<&Value> = shown.iter().filter(|page| !has(page, text)).collect();
        assert!(lacking.is_empty(), "{text} is not on {} pages: {lacking:?}", lacking.len());
    }
    for lack in found["none"].as_array().unwrap() {
        assert_eq!((&lack[0], &lack[1]), (&json!(404), &json!("image/svg+xml")));
        assert!(has(&lack[2], "the image cannot") && has(&lack[2], "be decoded"), "{lack}");
    }
    assert!(!found["none"].as_array().unwrap().is_empty(), "two images are markup");
}
