//! Inputs with names and entries that cannot be read: only these entries are refused, not the listing.

use crate::s3;
use crate::support::s3::{S3, faults::StoreFault};
use crate::support::{Job, expect, repo, stdout, tables::Tables};
use arrow::array::{ArrayRef, AsArray as _, RecordBatch, StringArray};
use std::{
    ffi::OsStr, os::unix::ffi::OsStrExt as _, os::unix::fs::symlink, path::Path, process::Output, sync::Arc,
};

fn web() -> std::path::PathBuf {
    repo().join("tests/data/web/web-00000.parquet")
}

/// Output of `capfilt plan` for a job, without a trial run.
fn plan(job: &Job, code: i32) -> String {
    said(&expect(job.command("plan").args(["--calibrate", "0"]), code))
}

fn said(output: &Output) -> String {
    stdout(output) + &crate::support::stderr(output)
}

/// A job over a prefix of a server that has one good file below it.
fn over(s3: &S3, prefix: &str, url: &str) -> Job {
    s3.put(&format!("{prefix}/a.parquet"), &web());
    s3::job(s3, prefix).set(&[&format!("input.url={url}")])
}

#[test]
fn keys_that_no_request_can_carry_are_passed_over_with_one_warning_that_names_them_and_the_rest_is_read() {
    let s3 = S3::start();
    let job = over(&s3, "odd", &s3.url("odd"));
    for key in ["odd/logs//x.txt", "odd/./x.txt", "odd/../y.txt", "odd/x\u{7f}.txt"] {
        s3.odd.put(key, 0);
    }
    let shown = plan(&job, 0);
    let warnings: Vec<&str> =
        shown.lines().filter(|line| line.contains("names that are not input files")).collect();
    assert_eq!(warnings.len(), 1, "{shown}");
    for name in ["logs//x.txt (its name has an empty part", "./x.txt", "../y.txt", "x\\u{7f}.txt"] {
        assert!(warnings[0].contains(name), "{name}\n{shown}");
    }
    assert!(shown.contains("files   1\n") && shown.contains("rows    800\n"), "{shown}");
    // Rows are missing when it is a file of the input, and so the job says that it is not whole.
    s3.odd.put("odd/logs//b.parquet", 9);
    let shown = plan(&job, 1);
    assert!(
        shown.contains("refused: logs//b.parquet: it cannot be read: its name has an empty part"),
        "{shown}"
    );
    assert!(shown.contains("files   2\n") && shown.contains("rows    800\n"), "{shown}");
}

#[test]
fn a_folder_s_marker_is_no_file_whatever_its_name() {
    let s3 = S3::start();
    let job = over(&s3, "marked", &s3.url("marked"));
    for key in ["marked/", "marked/train.parquet/", "marked/train.parquet_$folder$"] {
        s3.odd.put(key, 0);
    }
    // Named like the prefix itself, without a slash and without a byte.
    s3.odd.put("marked", 0);
    let shown = plan(&job, 0);
    assert!(
        shown.contains("files   1\n") && !shown.contains("warning") && !shown.contains("refused"),
        "{shown}"
    );
}

#[test]
fn an_object_beside_the_prefix_is_not_the_input_where_there_are_files_below_or_a_final_slash() {
    let s3 = S3::start();
    let job = over(&s3, "beside", &s3.url("beside"));
    s3.odd.put("beside", 5);
    let shown = plan(&job, 0);
    assert!(
        shown.contains("is also an object; the input is the files below") && shown.contains("rows    800"),
        "{shown}"
    );
    // A prefix with the name of an input file: the slash marks the prefix.
    let job = over(&s3, "all.parquet", &format!("{}/", s3.url("all.parquet")));
    s3.odd.put("all.parquet", 5);
    let shown = plan(&job, 0);
    assert!(
        shown.contains("files   1\n") && shown.contains("rows    800\n") && !shown.contains("warning"),
        "{shown}"
    );
}

#[test]
fn markers_in_a_job_s_bucket_harm_neither_the_job_nor_verify_nor_gc() {
    let s3 = s3::bucket();
    let job = s3::job(&s3, "marked");
    for key in [
        "jobs/marked",
        "jobs/marked/",
        "jobs/marked/commits/",
        "jobs/marked/attempts/",
        "jobs/marked/failures/",
    ] {
        s3.odd.put(key, 0);
    }
    s3.odd.put("jobs/marked/commits_$folder$", 0);
    job.run();
    assert_eq!(job.verify(0)["rows"], 800);
    let gc = stdout(&expect(&mut job.command_by_url("gc"), 0));
    assert!(gc.starts_with("0 objects"), "{gc}");
}

#[test]
fn a_local_folder_is_read_whatever_names_and_links_lie_in_it() {
    let job = Job::over_one_file();
    let input = job.folder.path().join("input");
    std::fs::create_dir(&input).unwrap();
    std::fs::copy(web(), input.join("a.parquet")).unwrap();
    for name in [&b"caf\xe9.txt"[..], b"no\tte.txt", b"no\nte.txt"] {
        std::fs::write(input.join(OsStr::from_bytes(name)), "").unwrap();
    }
    symlink(&input, input.join("latest")).unwrap();
    let job = job.set(&[&format!("input.url={}", input.display())]);
    let shown = plan(&job, 0);
    let warnings: Vec<&str> =
        shown.lines().filter(|line| line.contains("names that are not input files")).collect();
    assert_eq!(warnings.len(), 1, "{shown}");
    for name in ["caf\\xe9.txt", "no\\tte.txt", "no\\nte.txt", "latest (it is a link back to"] {
        assert!(warnings[0].contains(name), "{name}\n{shown}");
    }
    assert!(shown.contains("files   1\n") && shown.contains("rows    800\n"), "{shown}");
}

#[test]
fn a_candidate_that_cannot_be_read_is_listed_as_refused() {
    let job = Job::over_one_file();
    let input = job.folder.path().join("input");
    std::fs::create_dir(&input).unwrap();
    std::fs::copy(web(), input.join("a.parquet")).unwrap();
    symlink("../../blobs/0123", input.join("b.parquet")).unwrap();
    symlink("c.parquet", input.join("c.parquet")).unwrap();
    std::os::unix::net::UnixListener::bind(input.join("d.parquet")).unwrap();
    std::fs::copy(web(), input.join(OsStr::from_bytes(b"\xff.parquet"))).unwrap();
    // A broken link that is not a candidate is ignored.
    symlink("gone", input.join("notes.txt")).unwrap();
    let job = job.set(&[&format!("input.url={}", input.display()), "shards.rows=800"]);
    let shown = plan(&job, 1);
    for refused in [
        "refused: b.parquet: it cannot be read: it is a link to ../../blobs/0123, which does not exist",
        "refused: c.parquet: it cannot be read: ",
        "refused: d.parquet: it cannot be read: it is not a regular file",
        "refused: \\xff.parquet: it cannot be read: its name is not UTF-8",
    ] {
        assert!(shown.contains(refused), "{refused}\n{shown}");
    }
    assert!(shown.contains("files   5\n") && shown.contains("rows    800\n"), "{shown}");
    // A job takes it for what it is, before and after.
    for _ in 0..2 {
        assert!(said(&expect(&mut job.command("run"), 1)).contains("refused b.parquet"));
    }
}

#[test]
fn a_file_that_the_store_keeps_from_us_is_refused_and_its_neighbours_are_read() {
    let s3 = S3::start();
    let job = over(&s3, "kept", &s3.url("kept"));
    s3.put("kept/b.parquet", &web());
    s3.faults.arm_for("kept/b.parquet", StoreFault::Refusal { status: 403, name: "InvalidObjectState" });
    let shown = plan(&job, 1);
    assert!(shown.contains("refused: b.parquet: ") && shown.contains("restore it first"), "{shown}");
    assert!(shown.contains("files   2\n") && shown.contains("rows    800\n"), "{shown}");
}

#[test]
fn paths_of_images_below_a_local_input_are_found_however_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input");
    std::fs::create_dir_all(input.join("images")).unwrap();
    std::fs::write(input.join("images/x.jpg"), first_image()).unwrap();
    let at = input.display();
    let found = [
        "images/x.jpg".to_owned(),
        "./images/x.jpg".to_owned(),
        "images/./x.jpg".to_owned(),
        "images//x.jpg".to_owned(),
        format!("{at}/images/x.jpg"),
        format!("file://{at}/images/x.jpg"),
    ];
    let not = [
        "../x.jpg".to_owned(),
        "file:///etc/hostname".to_owned(),
        format!("data:image/jpeg;base64,{}", "A".repeat(3000)),
    ];
    let paths: Vec<String> = found.iter().chain(&not).cloned().collect();
    write_rows(&input.join("a.parquet"), &paths);
    let job = Job::over(&at.to_string()).set(&["limits.failure_budget=1.0"]);
    expect(&mut job.command("run"), 1);
    let tables = Tables::of(&job);
    for (row, path) in tables.ledger.iter().zip(&paths) {
        let expected = if found.contains(path) { "judged" } else { "image_unreadable" };
        assert_eq!(row["status"].as_str(), Some(expected), "{path}: {row}");
        assert!(row["detail"].as_str().unwrap_or_default().len() < 1000, "{row}");
    }
}

#[test]
fn an_image_whose_name_the_store_refuses_is_its_row_s_fault_alone() {
    let s3 = S3::start();
    std::fs::create_dir_all(s3.file("named/images")).unwrap();
    std::fs::write(s3.file("named/images/x.jpg"), first_image()).unwrap();
    let mut paths = vec!["images/x.jpg".to_owned(); 9];
    paths.push(format!("images/{}.jpg", "a".repeat(1100)));
    write_rows(&s3.file("named/a.parquet"), &paths);
    s3::put_models(&s3);
    let job =
        s3::job(&s3, "named").set(&[&format!("input.url={}", s3.url("named")), "limits.failure_budget=1.0"]);
    let run = said(&expect(&mut job.command("run"), 1));
    let tables = Tables::of(&job);
    let unreadable: Vec<_> = tables.ledger.iter().filter(|row| row["status"] == "image_unreadable").collect();
    assert_eq!((tables.ledger.len(), unreadable.len()), (10, 1), "{run}");
    assert!(unreadable[0]["detail"].as_str().unwrap().contains("KeyTooLong"), "{}", unreadable[0]);
}

fn first_image() -> Vec<u8> {
    let rows = s3::read(&web());
    rows.column_by_name("jpg").unwrap().as_binary::<i32>().value(0).to_vec()
}

/// A file of rows whose images are only named.
fn write_rows(path: &Path, images: &[String]) {
    let texts = StringArray::from_iter_values(images.iter().map(|_| "a red circle"));
    let images = StringArray::from_iter_values(images);
    let rows = [("jpg", Arc::new(images) as ArrayRef), ("caption", Arc::new(texts))];
    s3::write(path, &RecordBatch::try_from_iter(rows).unwrap(), 100);
}
