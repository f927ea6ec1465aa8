//! Who may use the cluster's NATS, by password and by certificate; and that no secret is ever shown.

use crate::support::s3::S3;
use crate::support::{
    Job, expect,
    nats::Nats,
    process::{Process, coordinate, work},
    repo, stderr, stdout,
};
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::Command,
};

/// With characters that a URL must encode.
const PASSWORD: &str = "open:sesame/42";
const IN_A_URL: &str = "open%3Asesame%2F42";

fn with_password() -> Option<Nats> {
    Nats::with(&format!("authorization {{ user: cleaner, password: \"{PASSWORD}\" }}"))
}

fn with_user(nats: &Nats, user: &str) -> String {
    nats.url().replace("nats://", &format!("nats://{user}@"))
}

/// Error of a coordinator that the server refuses.
fn refused(job: &Job, cluster: &str, args: &[&str]) -> String {
    stderr(&expect(coordinate(job, cluster).args(args), 3))
}

#[test]
fn without_the_password_nobody_gets_in_and_with_it_a_job_is_done() {
    let Some(nats) = with_password() else { return };
    let job = Job::over_one_file();
    for user in ["", "cleaner:notthepassword@", "another:open%3Asesame%2F42@", "token@"] {
        let said = refused(&job, &nats.url().replace("nats://", &format!("nats://{user}")), &[]);
        assert!(
            said.contains("refuses the connection") && said.contains("check user, password"),
            "{user}: {said}"
        );
        assert!(!said.contains("notthepassword") && !said.contains(IN_A_URL), "{said}");
    }
    // In the URL for one, in the environment for the other.
    let url = with_user(&nats, &format!("cleaner:{IN_A_URL}"));
    let mut coordinator = Process::start(&job, "coordinator", &mut coordinate(&job, &url));
    let mut command = work(&job, &nats.url());
    command.envs([("NATS_USER", "cleaner"), ("NATS_PASSWORD", PASSWORD)]);
    let mut worker = Process::start(&job, "worker", &mut command);
    assert_eq!(
        (coordinator.code(), worker.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        worker.log()
    );
}

#[test]
fn a_token_is_a_user_without_a_password() {
    let Some(nats) = Nats::with("authorization { token: \"opensesame\" }") else { return };
    let job = Job::over_one_file();
    let mut coordinator =
        Process::start(&job, "coordinator", &mut coordinate(&job, &with_user(&nats, "opensesame")));
    coordinator.wait_for("no worker is there");
    assert!(!coordinator.log().contains("opensesame"), "{}", coordinator.log());
}

/// Runs openssl, silently.
fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl").current_dir(folder).args(args.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {args}\n{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a certificate by it for a server of this name.
fn certificate(folder: &Path, authority: &str, name: &str) {
    let subject =
        |name: &str| format!("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -subj /CN={name}");
    openssl(
        folder,
        &format!("{} -x509 -days 2 -keyout {authority}.key -out {authority}.pem", subject(authority)),
    );
    openssl(folder, &format!("{} -keyout {name}.key -out {name}.csr", subject(name)));
    let names = if name == "loopback" { "IP:127.0.0.1".to_owned() } else { format!("DNS:{name}") };
    std::fs::write(folder.join("names"), format!("subjectAltName={names}\n")).unwrap();
    let by = format!("-CA {authority}.pem -CAkey {authority}.key -CAcreateserial");
    openssl(folder, &format!("x509 -req -days 2 -in {name}.csr {by} -extfile names -out {name}.pem"));
}

fn with_tls(folder: &Path, name: &str) -> Option<Nats> {
    let file = |ending: &str| folder.join(format!("{name}.{ending}")).display().to_string();
    Nats::with(&format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}", file("pem"), file("key")))
}

#[test]
fn a_server_with_a_certificate_is_believed_only_by_its_authority_and_its_name() {
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path(), "authority", "loopback");
    certificate(folder.path(), "stranger", "elsewhere.example");
    let (Some(nats), Some(elsewhere)) =
        (with_tls(folder.path(), "loopback"), with_tls(folder.path(), "elsewhere.example"))
    else {
        return;
    };
    let Some(plain) = Nats::start() else { return };
    let ca = |name: &str| folder.path().join(format!("{name}.pem")).display().to_string();
    let job = Job::over_one_file();
    let cases: [(&str, &Nats, &[&str]); 5] = [
        ("a private authority that was not named", &nats, &[]),
        ("another authority", &nats, &["--tls-ca", &ca("stranger")]),
        ("another name", &elsewhere, &["--tls-ca", &ca("stranger")]),
        ("no TLS where it is insisted on", &plain, &["--tls-ca", &ca("authority")]),
        ("no such file", &nats, &["--tls-ca", "/no/such/file.pem"]),
    ];
    for (case, nats, args) in cases {
        let said = refused(&job, &nats.url(), args);
        println!("{case}: {said}");
        assert!(said.contains("TLS with NATS at") && said.contains("--tls-ca"), "{case}: {said}");
    }
    let args = ["--tls-ca", &ca("authority")];
    let mut coordinator = Process::start(&job, "coordinator", coordinate(&job, &nats.url()).args(args));
    let mut worker = Process::start(&job, "worker", work(&job, &nats.url()).args(args));
    assert_eq!(
        (coordinator.code(), worker.code()),
        (Some(0), Some(0)),
        "{}\n{}",
        coordinator.log(),
        worker.log()
    );
}

#[test]
fn no_secret_is_in_logs_records_or_tables_however_much_is_logged() {
    let Some(nats) = with_password() else { return };
    let s3 = S3::start();
    s3.put("web/web-00000.parquet", &repo().join("tests/data/web/web-00000.parquet"));
    for model in ["captioner", "filter"] {
        s3.put_folder(&format!("models/{model}"), &repo().join("tests/data/models").join(model));
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache").display().to_string();
    let mut job = Job::at(folder, s3.url("jobs/one"), s3.file("jobs/one"), &s3.url("web"), &s3.url("models"));
    job.env = s3.env();
    job.env.extend([("CAPFILT_CACHE".to_owned(), cache), ("CAPFILT_LOG".to_owned(), "trace".to_owned())]);
    let url = with_user(&nats, &format!("cleaner:{IN_A_URL}"));
    let mut coordinator = Process::start(
        &job,
        "coordinator",
        coordinate(&job, &url).args(["--log-format", "json", "--metrics", "127.0.0.1:0"]),
    );
    let mut worker = Process::start(&job, "worker", work(&job, &url).args(["--metrics", "127.0.0.1:0"]));
    let pages = [&mut coordinator, &mut worker].map(metrics_page);
    assert!(pages.iter().all(|page| page.contains("capfilt_")), "{pages:?}");
    assert_eq!((coordinator.code(), worker.code()), (Some(0), Some(0)));
    assert!(coordinator.log().contains("TRACE") && worker.log().contains("TRACE"), "nothing was logged");
    let status = expect(&mut job.command_by_url("status"), 0);
    let verify = expect(&mut job.command_by_url("verify"), 0);
    let mut said = vec![("coordinator".to_owned(), coordinator.log()), ("worker".to_owned(), worker.log())];
    said.extend(pages.map(|page| ("metrics".to_owned(), page)));
    said.extend(
        [&status, &verify].map(|output| ("status, verify".to_owned(), stdout(output) + &stderr(output))),
    );
    let files = files_below(&job.objects).into_iter();
    said.extend(files.map(|path| {
        (path.display().to_string(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned())
    }));
    assert!(said.iter().any(|(name, _)| name.ends_with("job.json")));
    for (name, text) in said {
        for secret in [PASSWORD, IN_A_URL, crate::support::s3::SECRET_KEY] {
            let at = text.find(secret);
            assert!(
                at.is_none(),
                "{name}: {}",
                text.lines().find(|line| line.contains(secret)).unwrap_or_default()
            );
        }
    }
}

/// Metrics page of a process.
fn metrics_page(process: &mut Process) -> String {
    process.wait_for("/metrics");
    let log = process.log();
    let (_, url) = log.split_once("metrics at http://").unwrap();
    let (address, _) = url.split_once("/metrics").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    connection.read_to_string(&mut page).unwrap();
    page
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
