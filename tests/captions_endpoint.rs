//! Captions by another program: a job whose captions come from a loopback server that speaks OpenAI's
//! protocol, and that misbehaves as scripted.

use crate::{
    captions::{captions, filter_only},
    support::{
        Job,
        endpoint::{Reply, Request, Server},
        expect,
        process::Process,
        stderr, stdout,
        tables::Tables,
    },
};
use serde_json::Value;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// A job over 800 rows in two shards with captions from a server.
fn job_with(server: &Server) -> Job {
    let endpoint = format!("captioner.endpoint={}", server.url());
    filter_only().set(&[
        &endpoint,
        "captioner.model=standin",
        "captioner.prompt=Describe the picture in one sentence.",
        "captioner.request_seconds=2",
        "shards.rows=400",
        "workers.outage_seconds=5",
    ])
}

/// A caption that follows from the image alone.
fn by_image(request: &Request) -> String {
    let url = request.body["messages"][0]["content"][0]["image_url"]["url"].as_str().unwrap();
    let sum: usize = url.bytes().map(usize::from).sum();
    let (colours, shapes) = (["red", "green", "blue"], ["circle", "square", "triangle"]);
    format!("A {} {}.", colours[sum % 3], shapes[sum / 3 % 3])
}

fn judged(job: &Job) -> Vec<Value> {
    Tables::of(job).ledger.into_iter().filter(|row| row["status"] == "judged").collect()
}

#[test]
fn captions_of_another_program_are_judged_by_the_filter_and_its_name_is_in_the_job() {
    let server = Server::start(|request| Reply::Caption(by_image(request)));
    let job = job_with(&server);
    let checked = stdout(&expect(&mut job.command("check"), 0));
    assert!(checked.contains(&server.url()) && checked.contains("standin"), "{checked}");
    job.run();
    job.verify(0);
    let rows = judged(&job);
    let mut scores = Vec::new();
    for row in &rows {
        let [caption] = captions(row)[..] else { panic!("one caption per image: {row}") };
        assert!(caption["text"].as_str().unwrap().starts_with("A ") && caption["itm"].is_f64(), "{caption}");
        let itm = caption["itm"].as_f64().unwrap();
        assert_eq!(caption["kept"], itm >= 0.5, "{caption}");
        scores.push(itm);
    }
    let (least, most) =
        (scores.iter().copied().fold(1.0, f64::min), scores.iter().copied().fold(0.0, f64::max));
    assert!(most > 2.0 * least, "the filter judges each caption on its image: {least} to {most}");
    assert_eq!(server.chats().len(), rows.len(), "one request per image");
    let record: Value =
        serde_json::from_slice(&std::fs::read(job.objects.join("job.json")).unwrap()).unwrap();
    assert_eq!(record["settings"]["captioner"]["model"], "standin", "{record}");
    let agreement = expect(job.command_by_url("verify").args(["--recompute", "64", "--json"]), 0);
    assert!(
        stdout(&agreement).contains("\"other_captions\": 0")
            || stdout(&agreement).contains("\"other_captions\":0"),
        "{}",
        stdout(&agreement)
    );
    assert_eq!(server.chats().len(), rows.len(), "a check of the scores requests no captions");

    let other = format!("job.url={}", job.url);
    let job = job.set(&["captioner.model=another", &other]);
    let said = stderr(&expect(&mut job.command("run"), 2));
    assert!(said.contains("captioner.model") && said.contains("standin"), "{said}");
}

#[test]
fn an_image_that_the_program_refuses_costs_its_caption_and_nothing_else() {
    let count = Arc::new(AtomicU32::new(0));
    let server = Server::start(move |request| match count.fetch_add(1, Ordering::SeqCst) % 40 {
        7 => Reply::Status(400, "", r#"{"error":{"message":"cannot identify image file"}}"#.to_owned()),
        17 => Reply::Status(429, "retry-after: 1", String::new()),
        27 => Reply::Status(500, "", "once".to_owned()),
        _ => Reply::Caption(by_image(request)),
    });
    let job = job_with(&server);
    job.run();
    job.verify(0);
    let rows = judged(&job);
    let refused: Vec<&Value> = rows.iter().filter(|row| captions(row)[0]["status"] == "no_caption").collect();
    assert!(!refused.is_empty() && refused.len() * 20 < rows.len(), "{} of {}", refused.len(), rows.len());
    for row in refused {
        let caption = captions(row)[0];
        assert!(
            caption["text"].is_null() && caption["kept"] == false && caption["itm"].is_null(),
            "{caption}"
        );
        assert!(row["detail"].as_str().unwrap().contains("cannot identify image file"), "{row}");
    }
    let alone = filter_only();
    alone.run();
    for (row, alone) in rows.iter().zip(judged(&alone)) {
        assert_eq!((&row["key"], &row["texts"][0]["kept"]), (&alone["key"], &alone["texts"][0]["kept"]));
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_found_before_the_first_shard_and_no_row_pays_for_it() {
    let server = Server::start(|_| Reply::Caption("a dog".to_owned()));
    let job = job_with(&server);
    server.stop();
    let said = stderr(&expect(&mut job.command("run"), 3));
    assert!(said.contains("is unavailable") && said.contains("captioner.endpoint"), "{said}");
    assert!(!job.objects.join("commits").exists(), "nothing was committed");
    let job = job_with(&server).set(&["captioner.api_key_env=A_KEY_THAT_IS_NOT_SET"]);
    let said = stderr(&expect(&mut job.command("run"), 3));
    assert!(said.contains("A_KEY_THAT_IS_NOT_SET"), "{said}");
}

#[test]
fn an_endpoint_that_ends_during_the_job_is_waited_for_and_one_that_stays_away_stops_it() {
    let server = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(5));
        Reply::Caption(by_image(request))
    });
    let job = job_with(&server);
    let mut run = Process::start(&job, "run", &mut job.command("run"));
    while server.chats().len() < 100 {
        std::thread::sleep(Duration::from_millis(20));
    }
    server.stop();
    std::thread::sleep(Duration::from_secs(2));
    let count = Arc::new(AtomicU32::new(0));
    let server = Server::at(server.port, move |request| match count.fetch_add(1, Ordering::SeqCst) {
        0..100 => Reply::Caption(by_image(request)),
        _ => Reply::Status(503, "", "shutting down".to_owned()),
    });
    let (code, said) = (run.code(), run.log());
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("status 503: shutting down") && said.contains("is unavailable for"), "{said}");
    server.stop();
    let _server = Server::at(server.port, |request| Reply::Caption(by_image(request)));
    job.run();
    job.verify(0);
    assert!(judged(&job).iter().all(|row| captions(row)[0]["status"] == "judged"));
}

#[test]
fn a_key_is_sent_and_is_in_no_record_and_no_log() {
    let server = Server::start(|request| match request.authorization.as_deref() {
        Some("Bearer very-secret") => Reply::Caption(by_image(request)),
        _ => Reply::Status(401, "", "who are you?".to_owned()),
    });
    let mut job = job_with(&server).set(&["captioner.api_key_env=CAPTIONER_KEY"]);
    job.env.push(("CAPTIONER_KEY".to_owned(), "very-secret".to_owned()));
    let ran = job.run();
    assert!(!stderr(&ran).contains("very-secret"));
    let record = std::fs::read_to_string(job.objects.join("job.json")).unwrap();
    assert!(record.contains("CAPTIONER_KEY") && !record.contains("very-secret"));
    let mut job = job_with(&server).set(&["captioner.api_key_env=CAPTIONER_KEY"]);
    job.env.push(("CAPTIONER_KEY".to_owned(), "wrong".to_owned()));
    let said = stderr(&expect(&mut job.command("run"), 3));
    assert!(said.contains("refuses every request") && said.contains("who are you?"), "{said}");
}
