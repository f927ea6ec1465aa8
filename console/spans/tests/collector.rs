//! The promise of the export: a collector on loopback receives each attempt as one trace with its stages, and
//! a collector that is not there delays nothing.
//!
//! The export reads environment variables, so each test runs this program again with its own ones.

#![allow(clippy::unwrap_used)]

use capfilt_spans::Export;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    time::{Duration, Instant},
};
use tracing_subscriber::layer::SubscriberExt as _;

/// Set in the child process.
const CHILD: &str = "SPANS_TEST_CHILD";

/// Body of a request of HTTP with a length.
fn body(stream: &TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while reader.read_line(&mut line).unwrap() > 2 {
        head += &line;
        line.clear();
    }
    let length =
        head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    (head, body)
}

fn text(of: &[KeyValue], key: &str) -> Option<String> {
    match of.iter().find(|pair| pair.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Runs the child test of this program, with a collector's URL.
fn child(test: &str, endpoint: &str) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(CHILD, "1");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint).output().unwrap()
}

/// Spans as the worker process makes them.
fn work() {
    let export = Export::of_environment().unwrap().unwrap();
    let log = tracing_subscriber::registry().with(export.layer());
    tracing::subscriber::with_default(log, || {
        let attempt = tracing::error_span!(target: "capfilt_workers::fetch", "attempt", shard = "s1");
        for rows in [3, 4] {
            let stage = tracing::trace_span!(target: "capfilt_workers", parent: &attempt, "device", rows);
            stage.in_scope(|| {
                tracing::info!(target: "capfilt_workers::device", "judged");
                tracing::debug!(target: "capfilt_workers::device", "not exported");
            });
        }
        let _other = tracing::error_span!(target: "capfilt_coordinator", "attempt").entered();
    });
    let begun = Instant::now();
    let ended = export.end();
    println!("ended {:?} after {} ms", ended.is_ok(), begun.elapsed().as_millis());
}

#[test]
fn a_collector_receives_an_attempt_as_one_trace_with_its_stages() {
    if std::env::var_os(CHILD).is_some() {
        return work();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let request = body(&stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        request
    });
    let said = child("a_collector_receives_an_attempt_as_one_trace_with_its_stages", &endpoint);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("ended true"), "{said}");
    let (head, body) = collector.join().unwrap();
    assert!(head.starts_with("POST /v1/traces ") && head.contains("application/x-protobuf"), "{head}");
    let request = ExportTraceServiceRequest::decode(&body[..]).unwrap();
    let resource = request.resource_spans[0].resource.as_ref().unwrap();
    assert_eq!(text(&resource.attributes, "service.name").as_deref(), Some("capfilt"));
    let spans: Vec<&Span> =
        request.resource_spans[0].scope_spans.iter().flat_map(|scope| &scope.spans).collect();
    let attempt: Vec<&&Span> = spans.iter().filter(|span| span.name == "attempt").collect();
    assert_eq!((attempt.len(), spans.len()), (1, 3), "{spans:?}");
    let (attempt, stages) = (attempt[0], spans.iter().filter(|span| span.name == "device"));
    assert_eq!(text(&attempt.attributes, "shard").as_deref(), Some("s1"));
    assert!(attempt.parent_span_id.is_empty());
    let rows: Vec<Option<String>> = stages.clone().map(|stage| text(&stage.attributes, "rows")).collect();
    assert_eq!(rows, [Some("3".to_owned()), Some("4".to_owned())]);
    for stage in stages {
        assert_eq!((&stage.trace_id, &stage.parent_span_id), (&attempt.trace_id, &attempt.span_id));
        let names: Vec<&str> = stage.events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(names, ["judged"]);
    }
}

#[test]
fn a_collector_that_never_answers_delays_the_end_by_seconds_at_most() {
    if std::env::var_os(CHILD).is_some() {
        return work();
    }
    // The listener accepts connections in its backlog, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let said = child("a_collector_that_never_answers_delays_the_end_by_seconds_at_most", &endpoint);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("ended false"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}\n{said}", begun.elapsed());
}

#[test]
fn a_url_that_is_none_is_a_sentence() {
    if std::env::var_os(CHILD).is_some() {
        println!("error: {}", Export::of_environment().unwrap_err());
        return;
    }
    let said = child("a_url_that_is_none_is_a_sentence", "no url at all");
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("error: spans are not exported: "), "{said}");
}
