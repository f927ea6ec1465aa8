//! A slow device does not hold up the end of a job: an idle one does its shards again.

use crate::support::{expect, process::Process, shared::job_of, stdout};
use serde_json::Value;

/// Result of `run --json`.
fn final_report(said: &str) -> Value {
    serde_json::from_str(said.lines().find(|line| line.starts_with("{\"")).unwrap()).unwrap()
}

#[test]
fn a_device_that_stops_is_not_waited_for_and_the_result_is_the_same_bytes() {
    let undisturbed = job_of(12, 40);
    let alone = final_report(&stdout(&expect(undisturbed.command("run").arg("--json"), 0)));
    let counts =
        |report: &Value| ["copied_shards", "wasted_rows"].map(|count| report[count].as_u64().unwrap());
    assert_eq!(counts(&alone), [0, 0], "a device alone does no shard twice: {alone}");
    let job = job_of(12, 40).set(&["workers.devices=[\"cpu\", \"cpu\"]"]);
    let mut run = Process::start(&job, "run", job.command("run").arg("--json"));
    run.wait_for("worker 1 on cpu is ready");
    run.wait_for("worker 0 on cpu is ready");
    let devices = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.child.id())).unwrap();
    let device = devices.split_whitespace().next().unwrap();
    assert!(std::process::Command::new("kill").args(["-STOP", device]).status().unwrap().success());
    assert_eq!(run.code(), Some(0), "{}", run.log());
    let report = final_report(&run.log());
    let [copies, wasted] = counts(&report);
    assert!(copies >= 1, "{report}");
    // Each copy has one loser, which has done at most its shard; what was committed is not counted as wasted.
    assert!(wasted <= 40 * copies, "{report}");
    assert_eq!(
        [&report["rows"], &report["shards"], &report["tally"]],
        ["rows", "shards", "tally"].map(|of| &alone[of])
    );
    assert_eq!(job.verify(0)["rows"], 480);
    assert!(job.committed() == undisturbed.committed(), "the committed tables differ");
}
