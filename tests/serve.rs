//! The live page and the controls of a job: a browser watches, and a pause, a drain and the end of the page
//! lose nothing.

use crate::support::{
    Job, expect,
    nats::Nats,
    page::{Page, TOKEN, Watcher},
    process::{Process, committed_shards, coordinator, wait_until, worker},
    shared::{SHARDS, assert_whole, job_of, shared_job},
    stderr, stdout,
    tables::json_of,
};
use std::{
    process::Command,
    time::{Duration, Instant},
};

/// Longest median time from a commit to its event at a watcher.
const FRESH: Duration = Duration::from_secs(2);

/// Time in which a paused job must not change: several readings of the controls.
const STILL: Duration = Duration::from_secs(3);

fn control(job: &Job, action: &str) -> Command {
    let mut command = job.command_by_url("control");
    command.arg(action);
    command
}

/// Waits until the running shards are finished, and checks that no other begins.
fn assert_still(job: &Job) -> usize {
    let (mut last, mut since) = (committed_shards(job), Instant::now());
    wait_until(|| {
        let now = committed_shards(job);
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() >= STILL
    });
    last
}

/// Time from the moment at which `shards` are committed to the watcher's event about them.
fn delay(job: &Job, watcher: &Watcher, shards: usize) -> Duration {
    wait_until(|| committed_shards(job) >= shards);
    let committed = Instant::now();
    let seen = || watcher.committed().into_iter().find(|(_, committed)| *committed >= shards);
    wait_until(|| seen().is_some());
    seen().unwrap().0.saturating_duration_since(committed)
}

#[test]
fn a_job_is_watched_paused_resumed_and_drained_and_the_next_run_finishes_it() {
    let job = job_of(60, 40);
    let mut run = Process::start(&job, "run", &mut job.command("run"));
    wait_until(|| job.objects.join("job.json").exists());
    let page = Page::serve(&job, "page");
    let watcher = page.watch();
    let mut delays: Vec<Duration> = [2, 4, 6].map(|shards| delay(&job, &watcher, shards)).into();
    delays.sort_unstable();
    println!("from a commit to its event: {delays:?}");
    assert!(delays[1] <= FRESH, "{delays:?}");

    assert!(page.control("pause").contains("303"), "{}", page.process.log());
    run.wait_for("paused by \"the live page at ");
    watcher.wait_for("Paused");
    let paused = assert_still(&job);
    assert!(paused < 60, "the job was done before the pause");
    // The bucket has the pause, not the page.
    drop(page);
    assert_eq!(assert_still(&job), paused);
    let page = Page::serve(&job, "page-2");
    assert!(page.get("/").contains("Paused"));
    page.control("resume");
    wait_until(|| committed_shards(&job) > paused);

    page.control("drain");
    assert_eq!(run.code(), Some(130), "{}", run.log());
    assert!(run.log().contains("`capfilt run` with the same settings resumes the job"), "{}", run.log());
    let drained = committed_shards(&job);
    assert!(drained > paused && drained < 60, "{drained} of 60 shards");
    let mut rest = Process::start(&job, "rest", &mut job.command("run"));
    assert_eq!(rest.code(), Some(0), "{}", rest.log());
    let verified = job.verify(0);
    assert_eq!(verified["rows"], 2400);
    let log = page.process.log();
    assert!(!log.contains(TOKEN) && !run.log().contains(TOKEN), "{log}");
}

#[test]
fn the_command_line_pauses_a_run_before_its_start_and_resumes_it() {
    let job = job_of(12, 20);
    expect(job.command("run").arg("--plan-only"), 0);
    let record = stdout(&expect(&mut control(&job, "pause"), 0));
    assert!(record.trim_end().ends_with("controls/0.json"), "{record}");
    let mut run = Process::start(&job, "run", &mut job.command("run"));
    run.wait_for("paused by \"capfilt control, ");
    assert_eq!(assert_still(&job), 0);
    assert!(!run.log().contains("is ready"), "a paused run loads no model: {}", run.log());
    expect(&mut control(&job, "resume"), 0);
    assert_eq!(run.code(), Some(0), "{}", run.log());
    assert!(run.log().contains("resumed by "), "{}", run.log());
    // A control of a finished job changes nothing.
    expect(&mut control(&job, "drain"), 0);
    assert_eq!(job.verify(0)["rows"], 240);
    assert_eq!(json_of(job.command_by_url("gc").arg("--json"))["objects"], serde_json::json!([]));
    expect(&mut control(&job, "stop"), 2);
}

#[test]
fn a_cluster_is_paused_and_drained_by_one_record() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut first = coordinator(&job, &nats);
    let mut pools = [worker(&job, &nats, "a"), worker(&job, &nats, "b")];
    wait_until(|| committed_shards(&job) >= 1);
    expect(&mut control(&job, "pause"), 0);
    first.wait_for("paused by");
    pools.iter_mut().for_each(|pool| pool.wait_for("paused by"));
    let paused = assert_still(&job);
    assert!(paused < SHARDS, "the job was done before the pause");
    expect(&mut control(&job, "drain"), 0);
    let codes = [first.code(), pools[0].code(), pools[1].code()];
    assert_eq!(codes, [Some(130); 3], "{}\n{}", first.log(), pools[0].log());
    assert_eq!(committed_shards(&job), paused);
    // A scheduler restarts a worker: it waits, without models, for the next run.
    let mut restarted = worker(&job, &nats, "restarted");
    restarted.wait_for("the job is drained");
    let mut second = coordinator(&job, &nats);
    assert_eq!(
        (second.code(), restarted.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        second.log(),
        restarted.log()
    );
    assert_whole(&job);
}

/// Seconds of processor time that a process has used, of the 100 ticks per second of Linux.
fn processor_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |at: usize| after_name[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Seconds of a planned job's run with `watchers` of its page, and processor seconds of the page meanwhile.
fn seconds_of_run(watchers: usize) -> (f64, f64) {
    let job = job_of(30, 80);
    expect(job.command("run").arg("--plan-only"), 0);
    let page = (watchers > 0).then(|| Page::serve(&job, "page"));
    let watching: Vec<Watcher> = page.iter().flat_map(|page| (0..watchers).map(|_| page.watch())).collect();
    watching.iter().for_each(|watcher| wait_until(|| !watcher.committed().is_empty()));
    let used = || page.as_ref().map_or(0.0, |page| processor_seconds(page.process.child.id()));
    let (began, used_before) = (Instant::now(), used());
    expect(&mut job.command("run"), 0);
    let (seconds, used) = (began.elapsed().as_secs_f64(), used() - used_before);
    for watcher in watching {
        watcher.wait_for("The job is done");
    }
    (seconds, used)
}

#[test]
fn fifty_watchers_do_not_slow_a_job_down() {
    let (mut without, mut with, mut used) = (f64::INFINITY, f64::INFINITY, f64::INFINITY);
    // In turn, because other tests run on the same cores.
    for _ in 0..2 {
        without = without.min(seconds_of_run(0).0);
        let (seconds, of_page) = seconds_of_run(50);
        (with, used) = (with.min(seconds), used.min(of_page / seconds));
    }
    println!(
        "a job takes {without:.2} s without a page, and {with:.2} s with 50 watchers of its page, which uses \
         {:.1} % of a core",
        100.0 * used
    );
    assert!(used <= 0.05, "the page uses {:.1} % of a core", 100.0 * used);
    assert!(with <= 1.5 * without + 1.0, "{without:.2} s without, {with:.2} s with 50 watchers");
}

#[test]
fn a_page_beyond_this_machine_needs_a_token_and_a_job() {
    let job = job_of(3, 20);
    let serve = |args: &[&str]| {
        let mut command = job.command_by_url("serve");
        command.args(args).env("SHORT", "secret").env_remove("UNSET");
        command
    };
    for (args, why) in [
        (&["--listen", "0.0.0.0:0"][..], "is not a loopback address, so the page needs a token"),
        (&["--token-env", "UNSET"], "the environment variable UNSET is not set"),
        (&["--token-env", "SHORT"], "must have 16 to 256 visible ASCII characters"),
        (&["--host", "http://a"], "is not a host name"),
    ] {
        let refused = stderr(&expect(&mut serve(args), 2));
        assert!(refused.contains(why) && !refused.contains("secret"), "{refused}");
    }
    let missing = stderr(&expect(&mut serve(&["--listen", "127.0.0.1:0"]), 3));
    assert!(missing.contains("there is no job"), "{missing}");
}

#[test]
fn a_token_is_made_and_shown_once_if_none_is_given() {
    let job = job_of(3, 20);
    expect(job.command("run").arg("--plan-only"), 0);
    let mut serve = job.command_by_url("serve");
    let mut process = Process::start(&job, "page", serve.args(["--listen", "127.0.0.1:0"]));
    process.wait_for("which is not shown again: ");
    let log = process.log();
    let token = log.split("not shown again: ").nth(1).unwrap().trim().to_owned();
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{log}");
    let address = log.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let page = Page { process, address };
    let paused = page.ask("POST /control", &format!("authorization: Bearer {token}\r\n"), "action=pause");
    assert!(paused.contains("303") && job.objects.join("controls/0.json").exists(), "{paused}");
    assert!(!page.get("/").contains(&token));
    assert_eq!(page.process.log().matches(&token).count(), 1, "{}", page.process.log());
    page.process.signal("-TERM");
    let mut process = page.process;
    assert_eq!(process.code(), Some(130), "{}", process.log());
}
