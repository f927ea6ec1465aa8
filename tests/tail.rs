//! A slow device does not hold up the end of a job: an idle one does its shards again.

use crate::support::{Job, process::Process};

#[test]
fn a_device_that_stops_is_not_waited_for_and_the_result_is_the_same_bytes() {
    let undisturbed = Job::over_web().set(&["shards.rows=200"]);
    undisturbed.run();
    let job = Job::over_web().set(&["shards.rows=200", "workers.devices=[\"cpu\", \"cpu\"]"]);
    let mut run = Process::start(&job, "run", job.command("run").arg("--json"));
    run.wait_for("worker 1 on cpu is ready");
    run.wait_for("worker 0 on cpu is ready");
    let devices = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.child.id())).unwrap();
    let device = devices.split_whitespace().next().unwrap();
    assert!(std::process::Command::new("kill").args(["-STOP", device]).status().unwrap().success());
    assert_eq!(run.code(), Some(0), "{}", run.log());
    let log = run.log();
    let report: serde_json::Value =
        serde_json::from_str(log.lines().find(|line| line.starts_with("{\"")).unwrap()).unwrap();
    assert!(report["copied_shards"].as_u64().unwrap() >= 1, "{report}");
    assert!(report["wasted_rows"].as_u64().is_some(), "{report}");
    assert_eq!(job.verify(0)["rows"], 2400);
    assert!(job.committed() == undisturbed.committed(), "the committed tables differ");
}
