//! Waits of a cluster's commands, and cases without a wait: a signal, a server without queues, an
//! invalid URL.

use crate::support::{
    Job, capfilt, expect,
    nats::{Nats, free_port},
    process::{Process, committed_shards, coordinate, coordinator, wait_until, work},
    shared::shared_job,
    stderr,
};
use std::time::{Duration, Instant};

/// A signal is heard at once; the rest is for a machine that runs other tests meanwhile.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Waits until a process has said this, tells it to go, and sees it go at once.
fn goes_at_once(mut process: Process, waits: &str, signal: &str) {
    process.wait_for(waits);
    process.signal(signal);
    let signalled = Instant::now();
    assert_eq!(process.code(), Some(130), "{}", process.log());
    assert!(signalled.elapsed() < AT_ONCE, "{signal} took {:?}:\n{}", signalled.elapsed(), process.log());
}

/// A job that is planned and not begun.
fn planned_job() -> Job {
    let job = shared_job();
    expect(job.command("run").arg("--plan-only"), 0);
    job
}

#[test]
fn the_first_signal_ends_a_run_and_a_worker_that_wait_for_nats_or_for_the_job() {
    let job = planned_job();
    let unreachable = format!("nats://127.0.0.1:{}", free_port());
    for signal in ["-TERM", "-INT"] {
        let run = Process::start(&job, "run", &mut coordinate(&job, &unreachable));
        goes_at_once(run, "waiting for it", signal);
        let worker = Process::start(&job, "worker", &mut work(&job, &unreachable));
        goes_at_once(worker, "waiting for it", signal);
    }
    let unplanned = shared_job();
    goes_at_once(
        Process::start(&unplanned, "early", &mut work(&unplanned, &unreachable)),
        "no job at",
        "-TERM",
    );
}

#[test]
fn nats_lost_in_mid_job_is_named_by_everyone_and_the_first_signal_ends_their_waits() {
    let Some(mut nats) = Nats::start() else { return };
    let job = shared_job();
    let mut first = coordinator(&job, &nats);
    let mut worker = Process::start(&job, "worker", work(&job, &nats.url()).args(["--grace", "0"]));
    wait_until(|| committed_shards(&job) >= 1);
    // Its shards stay in its hands, so that the job does not end meanwhile.
    let devices = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", worker.child.id())).unwrap();
    expect(std::process::Command::new("kill").args(["-STOP", devices.split_whitespace().next().unwrap()]), 0);
    nats.down();
    let lost = format!("NATS at {} has not answered for", nats.url());
    for process in [&mut first, &mut worker] {
        process.wait_for(&lost);
    }
    nats.up();
    for process in [&mut first, &mut worker] {
        process.wait_for(&format!("NATS at {} answers again", nats.url()));
    }
    let times = |process: &Process| process.log().matches(&lost).count();
    let before = [times(&first), times(&worker)];
    nats.down();
    wait_until(|| times(&first) > before[0] && times(&worker) > before[1]);
    for process in [first, worker] {
        goes_at_once(process, "answers again", "-TERM");
    }
}

#[test]
fn a_server_without_jetstream_is_named_at_once_with_the_line_that_starts_it() {
    let Some(nats) = Nats::without_jetstream() else { return };
    let job = planned_job();
    let began = Instant::now();
    for mut command in [coordinate(&job, &nats.url()), work(&job, &nats.url())] {
        let said = stderr(&expect(&mut command, 3));
        assert!(said.contains("no JetStream") && said.contains("nats-server -js -sd DIR"), "{said}");
    }
    // The bucket answers nevertheless.
    let said = stderr(&expect(job.command_by_url("status").args(["--cluster", &nats.url()]), 0));
    assert!(said.contains("nats-server -js -sd DIR") && said.contains("from the bucket only"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_cluster_s_url_that_is_none_is_an_error_of_usage() {
    let job = shared_job();
    for url in ["", " ", ",", "nats://", "nats://127.0.0.1,,", "http://127.0.0.1:4222"] {
        for mut command in [coordinate(&job, url), work(&job, url)] {
            let said = stderr(&expect(&mut command, 2));
            assert!(said.contains("is not the URL of a NATS server"), "{url}: {said}");
        }
        expect(capfilt().args(["status", "--job", &job.url, "--cluster", url]), 2);
    }
    assert!(!job.objects.exists(), "nothing was begun");
}

#[test]
fn a_cluster_worker_s_threads_are_those_it_was_given() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut coordinator = coordinator(&job, &nats);
    let mut worker = work(&job, &nats.url());
    worker.args(["--device", "cpu", "--model-threads", "2", "--decode-threads", "3"]);
    let mut worker = Process::start(&job, "worker", &mut worker);
    // Two devices: one by the tests' own option, one by this one's.
    worker.wait_for("is ready");
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", worker.child.id())).unwrap();
    for child in children.split_whitespace() {
        let words = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap();
        assert!(words.contains("--model-threads=2\0--decode-threads=3"), "{words}");
    }
    // A coordinator says which settings it has for itself alone.
    let own = "workers.devices (--device), workers.model_threads (--model-threads)";
    assert!(coordinator.log().contains(own), "{}", coordinator.log());
    assert_eq!(
        (coordinator.code(), worker.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        worker.log()
    );
}
