//! The promise that the files for Prometheus and Grafana fit the metrics that a run serves.

use crate::support::{expect, process::Process, python, shared::job_of, stdout, tools};
use serde_json::Value;

/// A metric that has a series only after an attempt failed.
const ONLY_AFTER_FAULTS: &str = "capfilt_failed_attempts_total";

#[test]
fn prometheus_evaluates_every_query_of_the_dashboard_and_the_alerts_on_a_real_run() {
    if !tools::need(&tools::PROMETHEUS) {
        return;
    }
    let job = job_of(60, 40);
    let mut run = Process::start(&job, "run", job.command("run").args(["--metrics", "127.0.0.1:0"]));
    run.wait_for("/metrics\n");
    let log = run.log();
    let address = log.lines().find_map(|line| line.strip_prefix("metrics at http://")).unwrap();
    let address = address.strip_suffix("/metrics").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut read = python("tests/monitoring.py");
    let output = expect(read.arg(address).arg(folder.path()), 0);
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let unknown = found["unknown"].as_array().unwrap();
    assert!(unknown.iter().all(|name| name == ONLY_AFTER_FAULTS), "metrics that no run has: {unknown:?}");
    let (dashboard, alerts) = (found["dashboard"].as_object().unwrap(), found["alerts"].as_object().unwrap());
    assert!(dashboard.len() >= 12 && alerts.len() >= 5, "{found}");
    for (query, series) in dashboard.iter().filter(|(query, _)| !query.contains(ONLY_AFTER_FAULTS)) {
        assert!(series.as_u64() > Some(0), "the dashboard shows nothing for {query}");
    }
    let firing: Vec<_> = alerts.iter().filter(|(_, series)| series.as_u64() > Some(0)).collect();
    assert!(
        firing.iter().all(|(query, _)| query.starts_with("up{")),
        "a run without faults fires {firing:?}"
    );
    assert_eq!(run.code(), Some(0), "{}", run.log());
}
