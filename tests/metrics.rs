//! Metrics of a run and of a worker, parsed by Prometheus' client library.

use crate::support::{
    Job, capfilt, expect,
    nats::Nats,
    process::{Process, committed_shards, coordinator, wait_until},
    python,
    shared::job_of,
    stderr, stdout,
    tables::counted,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
};

/// One reading.
struct Page {
    types: BTreeMap<String, String>,
    help: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

impl Page {
    fn of(page: &Value) -> Self {
        let texts = |field: &str| {
            page[field]
                .as_object()
                .unwrap()
                .iter()
                .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned()))
                .collect()
        };
        let samples =
            page["samples"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.as_f64().unwrap()));
        Self { types: texts("types"), help: texts("help"), samples: samples.collect() }
    }

    fn get(&self, sample: &str) -> u64 {
        *self.samples.get(sample).unwrap_or_else(|| panic!("no {sample} among {:?}", self.samples)) as u64
    }

    fn counters(&self) -> impl Iterator<Item = (&String, f64)> {
        self.samples
            .iter()
            .filter(|(name, _)| name.split('{').next().unwrap().ends_with("_total"))
            .map(|(k, v)| (k, *v))
    }
}

fn pages(url: &str, once: bool) -> Vec<Page> {
    let mut reader = python("tests/metrics.py");
    reader.arg(url).args(once.then_some("--once"));
    let output = expect(&mut reader, 0);
    let pages: Vec<Value> = serde_json::from_str(&stdout(&output)).unwrap();
    pages.iter().map(Page::of).collect()
}

/// Where a process says that it serves.
fn url_of(process: &mut Process) -> String {
    process.wait_for("/metrics\n");
    let log = process.log();
    log.lines().find_map(|line| line.strip_prefix("metrics at ")).unwrap().to_owned()
}

fn start(job: &Job, name: &str, command: &mut Command) -> (Process, String) {
    let mut process = Process::start(job, name, command.args(["--metrics", "127.0.0.1:0"]));
    let url = url_of(&mut process);
    (process, url)
}

#[test]
fn a_run_is_read_while_it_works_and_its_counters_only_grow() {
    let job = job_of(12, 40);
    let (mut run, url) = start(&job, "run", &mut job.command("run"));
    let pages = pages(&url, false);
    assert_eq!(run.code(), Some(0), "{}", run.log());
    for page in &pages {
        assert!(page.types.keys().all(|family| family.starts_with("capfilt_")), "{:?}", page.types);
        assert!(page.types.values().all(|kind| kind == "counter" || kind == "gauge"), "{:?}", page.types);
        assert!(page.help.values().all(|help| !help.is_empty()), "{:?}", page.help);
        for (name, _) in page.counters() {
            let family = name.split('{').next().unwrap().trim_end_matches("_total");
            assert_eq!(page.types[family], "counter", "{name}");
        }
    }
    for pair in pages.windows(2) {
        for (name, before) in pair[0].counters() {
            assert!(
                pair[1].samples[name] >= before,
                "{name} fell from {before} to {}",
                pair[1].samples[name]
            );
        }
    }
    let busy: Vec<&Page> =
        pages.iter().filter(|page| page.get("capfilt_committed_shards_total") > 0).collect();
    assert!(!busy.is_empty(), "the run was over before it was read");
    for page in busy {
        assert_eq!(page.get("capfilt_job_rows{state=done}") + page.get("capfilt_job_rows{state=left}"), 480);
        let shards = ["committed", "quarantined", "open"]
            .map(|state| page.get(&format!("capfilt_job_shards{{state={state}}}")));
        assert_eq!(shards.iter().sum::<u64>(), 12);
        let rows = page.samples.iter().filter(|(name, _)| name.starts_with("capfilt_committed_rows_total{"));
        assert_eq!(
            rows.map(|(_, n)| *n as u64).sum::<u64>(),
            40 * page.get("capfilt_committed_shards_total")
        );
        assert_eq!(page.get("capfilt_batch_images{device=cpu,worker=0}"), 16);
        assert!(page.samples["capfilt_stage_seconds_total{stage=device}"] > 0.0);
    }
}

#[test]
fn at_the_end_a_worker_has_counted_what_the_manifest_says_and_shows_no_password() {
    let Some(nats) = Nats::with("authorization { user: cleaner, password: opensesame }") else { return };
    let mut job = job_of(12, 40);
    job.env = vec![("NATS_USER".into(), "cleaner".into()), ("NATS_PASSWORD".into(), "opensesame".into())];
    let mut first = coordinator(&job, &nats);
    let mut command = capfilt();
    command
        .args(["worker", "--device", "cpu", "--job", &job.url, "--cluster", &nats.url()])
        .envs(job.env.clone());
    let (mut worker, url) = start(&job, "worker", &mut command);
    wait_until(|| committed_shards(&job) >= 1);
    // No process can seal the job now, so the worker stays after its last shard.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    wait_until(|| pages(&url, true)[0].get("capfilt_committed_shards_total") == 12);
    let page = pages(&url, true).remove(0);
    assert!(!page.samples.keys().any(|name| name.contains("opensesame") || name.contains("cleaner")));

    let mut second = coordinator(&job, &nats);
    assert_eq!((second.code(), worker.code()), (Some(0), Some(0)), "{}\n{}", second.log(), worker.log());
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(job.objects.join("manifests/0.json")).unwrap()).unwrap();
    let tally = &manifest["tally"];
    let count = |value: &Value| value.as_u64().unwrap();
    for (status, rows) in tally["rows"].as_object().unwrap() {
        assert_eq!(
            page.get(&format!("capfilt_committed_rows_total{{status={status}}}")),
            count(rows),
            "{status}"
        );
    }
    assert_eq!(page.get("capfilt_pairs_total"), count(&tally["pairs"]));
    for source in ["caption", "synthetic"] {
        let [kept, judged, _] = counted(tally, source);
        let texts =
            |verdict| page.get(&format!("capfilt_judged_texts_total{{source={source},verdict={verdict}}}"));
        assert_eq!((texts("kept"), texts("dropped")), (kept, judged - kept), "{source}");
    }
}

#[test]
fn an_address_that_is_taken_ends_the_program_with_code_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let job = Job::over_web();
    let output = expect(job.command("run").args(["--metrics", &address]), 3);
    assert!(stderr(&output).contains(&format!("cannot serve metrics at {address}")), "{}", stderr(&output));
    assert!(!job.objects.exists(), "nothing was begun");
}

#[test]
fn nothing_but_get_metrics_is_answered() {
    let Some(nats) = Nats::start() else { return };
    let job = Job::over_web();
    let mut command = capfilt();
    command.args(["worker", "--device", "cpu", "--job", &job.url, "--cluster", &nats.url()]);
    // There is no job: the worker waits, and can be asked for as long as we like.
    let (worker, url) = start(&job, "worker", &mut command);
    let address = url.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    let status = |request: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    for (request, expected) in
        [("GET /metrics", "200"), ("POST /metrics", "405"), ("GET /", "404"), ("GET /job.json", "404")]
    {
        assert_eq!(status(request), expected, "{request}");
    }
    drop(worker);
}
