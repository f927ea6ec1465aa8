//! Advice when a store refuses: by the real cause, with the names of that cloud.

use crate::s3;
use crate::support::{
    Job, expect,
    s3::{S3, faults::StoreFault},
    stderr, stdout,
};

/// Output of `plan` for an input.
fn plan(job: &Job, code: i32) -> String {
    let output = expect(job.command("plan").args(["--calibrate", "0"]), code);
    stdout(&output) + &stderr(&output)
}

fn with(mut job: Job, variables: &[(&str, &str)]) -> Job {
    job.env.extend(variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    job
}

#[test]
fn each_refusal_of_a_store_gets_the_advice_that_fits_it() {
    for (status, name, advice) in [
        (400, "ExpiredToken", "the credentials are no longer valid"),
        (403, "RequestTimeTooSkewed", "clock differs too much"),
        (403, "InvalidAccessKeyId", "are they the right ones"),
        (403, "AccessDenied", "they do not allow this"),
        (400, "AuthorizationHeaderMalformed", "the bucket is in eu-north-1: set AWS_REGION=eu-north-1"),
        (301, "PermanentRedirect", "AWS_REGION"),
        (404, "NoSuchBucket", "there is no such bucket"),
    ] {
        let s3 = S3::start();
        s3.faults.arm(StoreFault::Refusal { status, name }, 0);
        let said = plan(&s3::job(&s3, "refused").set(&[&format!("input.url={}/", s3.url("web"))]), 3);
        assert!(said.contains(advice), "{status} {name}: {said}");
        assert!(!said.contains("may these credentials"), "{status} {name}: {said}");
    }
}

#[test]
fn a_bucket_that_is_not_there_and_a_server_that_is_not_there_are_told_apart() {
    let s3 = S3::start();
    let job =
        s3::job(&s3, "typo").set(&["job.url=s3://capfilt-typo/jobs/x", "input.url=s3://capfilt-typo/web/"]);
    let said = plan(&job, 3);
    assert!(said.contains("there is no such bucket at this endpoint"), "{said}");
    let check = stdout(&expect(&mut job.command("check"), 3));
    assert!(check.contains("there is no such bucket") && !check.contains("may these credentials"), "{check}");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let job = with(s3::job(&s3, "typo"), &[("AWS_ENDPOINT_URL", &format!("http://{free}"))]);
    let said = plan(&job, 3);
    assert!(said.contains("no process listens there: is AWS_ENDPOINT_URL right"), "{said}");
    let job = with(
        s3::job(&s3, "typo"),
        &[("AWS_ENDPOINT_URL", "https://no-such-host.invalid"), ("NO_PROXY", "*")],
    );
    let said = plan(&job, 3);
    assert!(said.contains("the host has no address: is AWS_ENDPOINT_URL right"), "{said}");
}

#[test]
fn an_endpoint_without_tls_is_told_with_the_variable_of_its_own_cloud() {
    let s3 = S3::start();
    let job = || s3::job(&s3, "open");
    let at = "http://127.0.0.1:1";
    let key = ("AZURE_STORAGE_KEY", "a2V5");
    let azure = [("AZURE_STORAGE_ACCOUNT", "devaccount"), key, ("AZURE_STORAGE_ENDPOINT", at)];
    let said = plan(&with(job().set(&["input.url=az://container/web"]), &azure), 2);
    assert!(said.contains("AZURE_STORAGE_ENDPOINT: ") && said.contains("AZURE_ALLOW_HTTP=true"), "{said}");
    assert!(!said.contains("AWS_"), "{said}");
    let said = plan(&with(job().set(&["input.url=gs://bucket/web"]), &[("GOOGLE_BASE_URL", at)]), 2);
    assert!(said.contains("GOOGLE_BASE_URL: ") && said.contains("GOOGLE_ALLOW_HTTP=true"), "{said}");
    let said = plan(&with(job(), &[("AWS_ALLOW_HTTP", "false")]), 2);
    assert!(said.contains("AWS_ENDPOINT_URL: ") && said.contains("AWS_ALLOW_HTTP=true"), "{said}");
    let said = plan(&with(job().set(&["input.url=az://container/web"]), &[key]), 2);
    assert!(said.contains("AZURE_STORAGE_ACCOUNT: no storage account is named"), "{said}");
}

#[test]
fn a_server_that_does_not_speak_tls_is_told_by_that() {
    let s3 = S3::start();
    let mut job = s3::job(&s3, "tls");
    job.env.iter_mut().filter(|(key, _)| key == "AWS_ENDPOINT_URL").for_each(|(_, url)| {
        *url = url.replace("http://", "https://");
    });
    let said = plan(&job, 3);
    assert!(
        said.contains("the server does not speak TLS there: is the scheme of AWS_ENDPOINT_URL right"),
        "{said}"
    );
}

#[test]
fn who_may_list_below_a_prefix_only_is_answered_403_and_can_work() {
    // Asked for what is not there, S3 says 403 to those who may not list the whole bucket; and so it does of
    // a prefix.
    let s3 = s3::bucket();
    s3.hide_what_is_missing();
    let job = s3::job(&s3, "least");
    assert!(plan(&job, 0).contains("rows    800"));
    assert!(stdout(&expect(&mut job.command("check"), 0)).contains("report a missing object: works"));
    job.run();
    assert_eq!(job.verify(0)["rows"], 800);
}

#[test]
fn check_says_when_a_missing_record_cannot_be_told_from_a_forbidden_one() {
    let s3 = s3::bucket();
    s3.hide_what_is_missing();
    let job = s3::job(&s3, "blind");
    s3.faults.arm_for("list-type=2", StoreFault::Refusal { status: 403, name: "AccessDenied" });
    let said = stdout(&expect(&mut job.command("check"), 3));
    assert!(
        said.contains("report a missing object: ") && said.contains("may these credentials list"),
        "{said}"
    );
}
