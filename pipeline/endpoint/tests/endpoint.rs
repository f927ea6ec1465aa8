//! The client against a loopback server that misbehaves as scripted.

#![allow(clippy::unwrap_used)]

mod support;

use capfilt_endpoint::{EndpointCaptioner, EndpointError, EndpointOptions};
use capfilt_pipeline::model::{EncodedImage, RemoteCaption, RemoteCaptioner as _, SampleKey};
use capfilt_schemas::settings;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use support::{Reply, Request, Server};

/// The least JPEG that is recognised as one; the server does not decode it.
const JPEG: [u8; 4] = [0xFF, 0xD8, 0xFF, 0xE0];

fn options(url: &str) -> EndpointOptions {
    let text = format!(
        "[job]\nurl='/j'\nseed=7\n[input]\nurl='/i'\n[models]\nfilter='/f'\n[captioner]\nendpoint='{url}'\n\
         model='standin'\nprompt='Describe.'\napi_key_env='KEY'\nmax_tokens=33\nconcurrency=4\n"
    );
    let settings = settings::parse(&text, &[]).unwrap();
    let key = |name: &str| (name == "KEY").then(|| "secret".to_owned());
    let of = EndpointOptions::of(&settings, Duration::from_secs(2), key).unwrap().unwrap();
    EndpointOptions { first_pause: Duration::from_millis(10), request_time: Duration::from_secs(1), ..of }
}

fn images(count: u8) -> Vec<EncodedImage> {
    let image = |i| EncodedImage {
        bytes: JPEG.iter().copied().chain([i]).collect::<Vec<_>>().into(),
        key: SampleKey { job_seed: 7, image_sha256: [i; 32] },
    };
    (0..count).map(image).collect()
}

/// Captions of some images, in a runtime as a worker process has one.
async fn write(server: &Server, count: u8, captions: usize) -> Result<Vec<Vec<RemoteCaption>>, String> {
    let mut captioner = EndpointCaptioner::connect(options(&server.url())).await.unwrap();
    let written = tokio::task::block_in_place(|| captioner.caption(images(count), captions));
    written.map_err(|error| error.to_string())
}

fn refusal(written: &[Vec<RemoteCaption>], image: usize) -> &str {
    match &written[image][0] {
        RemoteCaption::Refused(why) => why,
        RemoteCaption::Text(text) => panic!("image {image} has a caption: {text}"),
    }
}

fn text(text: &str) -> RemoteCaption {
    RemoteCaption::Text(text.to_owned())
}

/// Number of the image, which its last byte is.
fn image_of(request: &Request) -> u8 {
    let url = request.body["messages"][0]["content"][0]["image_url"]["url"].as_str().unwrap();
    let letters = url.strip_prefix("data:image/jpeg;base64,").unwrap();
    // Five bytes are 8 letters: /9j/4AA=, /9j/4AE=, …: the seventh letter has the low bits.
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef".iter().position(|c| *c == letters.as_bytes()[6]).unwrap() as u8 / 4
}

#[tokio::test(flavor = "multi_thread")]
async fn captions_come_back_in_order_and_the_request_has_what_the_settings_say() {
    let server = Server::start(|request| {
        // The first images take longest.
        std::thread::sleep(Duration::from_millis(60 - 10 * u64::from(image_of(request))));
        Reply::Caption(format!(" a picture {} \n", image_of(request)))
    });
    let written = write(&server, 6, 2).await.unwrap();
    let expected: Vec<_> = (0..6).map(|i| vec![text(&format!("a picture {i}")); 2]).collect();
    assert_eq!(written, expected);
    assert!(server.most_at_once.load(Ordering::SeqCst) <= 4, "captioner.concurrency is 4");
    let chats = server.chats();
    assert_eq!(chats.len(), 12);
    let body = &chats[0].body;
    assert_eq!(chats[0].line, "POST /v1/chat/completions");
    assert_eq!(chats[0].authorization.as_deref(), Some("Bearer secret"));
    assert_eq!((&body["model"], &body["max_tokens"]), (&"standin".into(), &33.into()), "{body}");
    assert_eq!(body["messages"][0]["content"][1]["text"], "Describe.");
    assert_eq!((body["temperature"].as_f64(), body["top_p"].as_f64()), (Some(1.0), Some(0.9)));
    let seeds = |chats: &[Request]| {
        let mut seeds: Vec<u64> = chats.iter().map(|chat| chat.body["seed"].as_u64().unwrap()).collect();
        seeds.sort_unstable();
        seeds
    };
    let mut distinct = seeds(&chats);
    distinct.dedup();
    assert_eq!(distinct.len(), 12, "each caption has a separate seed");
    write(&server, 6, 2).await.unwrap();
    assert_eq!(seeds(&server.chats()[12..]), seeds(&chats), "a repeated row has the same seeds");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_refused_is_the_status_of_its_caption_and_is_sent_once() {
    let server = Server::start(|request| match image_of(request) {
        0 => Reply::Status(400, "", r#"{"error":{"message":"cannot identify image file"}}"#.to_owned()),
        1 => Reply::Status(200, "", r#"{"choices":[{"message":{"refusal":"no faces"}}]}"#.to_owned()),
        _ => Reply::Caption("a dog".to_owned()),
    });
    let written = write(&server, 3, 1).await.unwrap();
    assert!(refusal(&written, 0).contains("cannot identify image file"), "{written:?}");
    assert!(refusal(&written, 1).contains("no faces"), "{written:?}");
    assert_eq!(written[2], [text("a dog")]);
    assert_eq!(server.chats().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_garbage_silence_and_huge_answers_are_tried_four_times_and_then_that_caption_s_status() {
    let server = Server::start(|request| match image_of(request) {
        0 => Reply::Status(500, "", "out of memory".to_owned()),
        1 => Reply::Status(200, "", "<html>".to_owned()),
        2 => Reply::Status(200, "", r#"{"choices":[]}"#.to_owned()),
        3 => Reply::Endless,
        4 => Reply::Silence(Duration::from_secs(3)),
        5 => Reply::Reset,
        _ => Reply::Caption("a dog".to_owned()),
    });
    let written = write(&server, 7, 1).await.unwrap();
    let whys = [
        "out of memory",
        "not a chat completion",
        "no choices",
        "more than",
        "request_seconds",
        "request_seconds",
    ];
    for (image, why) in whys.into_iter().enumerate() {
        assert!(refusal(&written, image).contains(why), "{why}: {written:?}");
    }
    assert_eq!(written[6], [text("a dog")]);
    for image in 0..6 {
        assert_eq!(server.chats().iter().filter(|chat| image_of(chat) == image).count(), 4, "{image}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overloaded_endpoint_is_asked_again_after_the_time_that_it_names() {
    let count = Arc::new(AtomicU32::new(0));
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Status(429, "retry-after: 1", "slow down".to_owned()),
        1 => Reply::Status(503, "", "loading".to_owned()),
        _ => Reply::Caption("a dog".to_owned()),
    });
    let from = Instant::now();
    assert_eq!(write(&server, 1, 1).await.unwrap(), [[text("a dog")]]);
    assert!(from.elapsed() >= Duration::from_secs(1), "{:?}", from.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_ends_is_waited_for_and_its_absence_is_no_image_s_fault() {
    let server = Server::start(|_| Reply::Caption("before".to_owned()));
    let mut captioner = EndpointCaptioner::connect(options(&server.url())).await.unwrap();
    let mut captions = |count| tokio::task::block_in_place(|| captioner.caption(images(count), 1));
    assert_eq!(captions(1).unwrap(), [[text("before")]]);
    server.stop();
    let port = server.port;
    let restart = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        Server::at(port, |_| Reply::Caption("after".to_owned()))
    });
    let written = captions(8).unwrap();
    assert_eq!(written, vec![[text("after")]; 8]);
    let server = restart.join().unwrap();
    server.stop();
    let from = Instant::now();
    let error = captions(8).unwrap_err().to_string();
    assert!(error.contains("is unavailable for 2 s"), "{error}");
    assert!(from.elapsed() < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_refuses_every_request_is_an_error_of_the_environment() {
    for (status, why) in [(401, "status 401"), (404, "status 404"), (307, "redirects are not followed")] {
        let server = Server::start(move |_| Reply::Status(status, "location: /v2", "nope".to_owned()));
        let error = write(&server, 2, 1).await.unwrap_err();
        assert!(error.contains("refuses every request") && error.contains(why), "{error}");
    }
    let server = Server::start(|_| Reply::Status(400, "", "this model has no vision".to_owned()));
    let error = write(&server, 200, 1).await.unwrap_err();
    assert!(error.contains("64 requests in a row") && error.contains("no vision"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_endpoint_and_another_model_are_found_at_the_first_contact() {
    let server = Server::start(|_| Reply::Caption(String::new()));
    let other = EndpointOptions { model: "other".to_owned(), ..options(&server.url()) };
    let error = EndpointCaptioner::check(other).await.unwrap_err();
    assert!(matches!(&error, EndpointError::OtherModel { served, .. } if served == "standin"), "{error}");
    server.stop();
    let from = Instant::now();
    let error = EndpointCaptioner::check(options(&server.url())).await.unwrap_err();
    assert!(matches!(error, EndpointError::Unavailable { waited: 0, .. }), "{error}");
    assert!(from.elapsed() < Duration::from_secs(1), "a first contact does not wait");
}
