//! Counts of a cluster, and the status of a job that does not advance although nothing is broken.

use crate::support::{
    Job, expect,
    nats::Nats,
    process::{Process, committed_shards, coordinate, wait_until, work},
    shared::shared_job,
    stderr, stdout,
};
use serde_json::Value;
use std::time::{Duration, Instant};

fn status(job: &Job, nats: &Nats) -> Value {
    let mut status = job.command_by_url("status");
    serde_json::from_str(&stdout(&expect(status.args(["--json", "--cluster", &nats.url()]), 0))).unwrap()
}

/// The JSON object a command ended with.
fn report(process: &Process) -> Value {
    let log = process.log();
    let line =
        log.lines().find(|line| line.starts_with("{\"")).unwrap_or_else(|| panic!("no report:\n{log}"));
    serde_json::from_str(line).unwrap()
}

fn device_of(worker: &Process) -> String {
    let path = format!("/proc/{0}/task/{0}/children", worker.child.id());
    let children = std::fs::read_to_string(path).unwrap();
    children.split_whitespace().next().unwrap().to_owned()
}

fn signal(pid: &str, signal: &str) {
    expect(std::process::Command::new("kill").args([signal, pid]), 0);
}

#[test]
fn a_worker_with_a_copy_drops_it_at_the_seal_and_every_row_counts_once_everywhere() {
    let Some(nats) = Nats::start() else { return };
    let job = Job::over_web().set(&["shards.rows=800"]);
    let mut coordinator = coordinate(&job, &nats.url());
    let mut coordinator =
        Process::start(&job, "coordinator", coordinator.args(["--ack-wait", "3600", "--json"]));
    let worker = |name: &str| Process::start(&job, name, work(&job, &nats.url()).arg("--json"));
    let mut stuck = worker("stuck");
    wait_until(|| job.objects.join("job.json").exists());
    wait_until(|| {
        let live = &status(&job, &nats)["live"]["workers"][0];
        live["in_hand"][0]["rows"].as_u64().is_some_and(|rows| rows > 0)
    });
    // From now on it does nothing more, and says that it is there.
    signal(&device_of(&stuck), "-STOP");
    assert!(committed_shards(&job) < 3, "the job was done before its worker was stopped");
    let mut other = worker("other");
    assert_eq!(coordinator.code(), Some(0), "{}", coordinator.log());
    let sealed = Instant::now();
    assert_eq!((other.code(), stuck.code()), (Some(0), Some(0)), "{}\n{}", other.log(), stuck.log());
    // A device that is stopped for ever is not waited for.
    assert!(sealed.elapsed() < Duration::from_secs(8), "{:?}\n{}", sealed.elapsed(), stuck.log());

    let reports = [report(&stuck), report(&other)];
    let sum = |field: &str| reports.iter().map(|report| report[field].as_u64().unwrap()).sum::<u64>();
    let run = report(&coordinator);
    let shown = status(&job, &nats);
    assert_eq!((sum("rows"), &run["rows"], &shown["rows"]["committed"]), (2400, &2400.into(), &2400.into()));
    assert_eq!(sum("committed_shards"), 3);
    assert!(sum("wasted_rows") > 0, "{reports:?}");
    assert_eq!(run["wasted_rows"], sum("wasted_rows"), "{reports:?}");
    let lines = coordinator.log();
    let counts = lines.lines().filter_map(|line| line.split_once(" rows  ")?.0.split_once('/'));
    for (done, all) in counts {
        assert!(done.parse::<u64>().unwrap() <= all.parse().unwrap(), "{done} of {all} rows");
    }
}

#[test]
fn a_worker_without_a_coordinator_and_a_job_that_is_not_sealed_are_said_to_be_so() {
    let Some(nats) = Nats::start() else { return };
    let job = shared_job();
    let mut coordinator = Process::start(&job, "coordinator", &mut coordinate(&job, &nats.url()));
    coordinator.wait_for("no worker is there");
    // The queue is full, and stays.
    coordinator.child.kill().unwrap();
    coordinator.child.wait().unwrap();
    let mut worker = Process::start(&job, "worker", &mut work(&job, &nats.url()));
    worker.wait_for("no coordinator was heard");
    wait_until(|| committed_shards(&job) == crate::support::shared::SHARDS);
    let page = stdout(&expect(job.command_by_url("status").args(["--cluster", &nats.url()]), 0));
    assert!(page.contains("no coordinator is there"), "{page}");
    assert!(page.contains("not sealed: run `capfilt run` to seal"), "{page}");
    let shown = status(&job, &nats);
    assert_eq!((&shown["to_seal"], &shown["done"]), (&true.into(), &false.into()));
    let mut second = Process::start(&job, "second", &mut coordinate(&job, &nats.url()));
    assert_eq!((second.code(), worker.code()), (Some(0), Some(0)), "{}\n{}", second.log(), worker.log());
    let shown = status(&job, &nats);
    assert_eq!((&shown["to_seal"], &shown["done"]), (&false.into(), &true.into()));
    // A worker that starts too late learns it at once.
    let late = stderr(&expect(&mut work(&job, &nats.url()), 0));
    assert!(late.contains("the job is done already"), "{late}");
}

#[test]
fn a_job_of_another_release_is_warned_of_by_every_command() {
    let job = Job::over_one_file().set(&["shards.rows=800"]);
    // Before the first commit: commits know the record they are of.
    expect(job.command("run").arg("--plan-only"), 0);
    let file = job.objects.join("job.json");
    let record = std::fs::read_to_string(&file).unwrap();
    let own = format!("\"program\": \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(record.contains(&own), "{record}");
    std::fs::write(&file, record.replace(&own, "\"program\": \"0.0.7\"")).unwrap();
    let said = stderr(&job.run());
    assert!(said.contains("planned by capfilt 0.0.7, this is"), "{said}");
    let export = job.folder.path().join("export").display().to_string();
    let mut commands = ["status", "verify", "gc", "retry", "worker"]
        .map(|name| job.command_by_url(name))
        .into_iter()
        .collect::<Vec<_>>();
    commands[4].args(["--device", "cpu"]);
    let mut exporting = job.command_by_url("export");
    exporting.args(["--format", "parquet", "--to", &export]);
    commands.extend([job.command("run"), exporting]);
    for mut command in commands {
        let output = command.output().unwrap();
        let said = stderr(&output);
        assert!(said.contains("planned by capfilt 0.0.7, this is"), "{command:?}: {said}");
        assert!(output.status.success(), "{command:?}: {said}");
    }
}
