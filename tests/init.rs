//! `capfilt init` writes settings that plan and run without an edit, for each kind of input.

use crate::{
    doors::write,
    support::{capfilt, expect, repo, small::first_rows, stderr, stdout, tables::json_of},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An empty working folder, and an input of a kind in it.
fn workspace(kind: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("web.parquet");
    first_rows("web-00000.parquet", 40, 20, &table);
    let input = match kind {
        "table" => table,
        kind => {
            let input = folder.path().join("input");
            write(kind, &input, &[], &[table]);
            input
        }
    };
    (folder, input)
}

fn init(folder: &Path, input: &str) -> Command {
    let mut command = capfilt();
    let models = repo().join("tests/data/models");
    command.current_dir(folder).args(["init", input]);
    command.arg("--filter").arg(models.join("filter")).arg("--captioner").arg(models.join("captioner"));
    command
}

#[test]
fn the_settings_of_init_clean_each_kind_of_input_without_an_edit() {
    for kind in ["table", "tars", "imagefolder", "csv", "sidecars", "parquet"] {
        let (folder, input) = workspace(kind);
        let said = stdout(&expect(&mut init(folder.path(), input.to_str().unwrap()), 0));
        assert!(said.contains("wrote job.toml"), "{said}");
        let run = |words: &[&str]| {
            let mut command = capfilt();
            command.current_dir(folder.path()).args(words);
            command
        };
        expect(&mut run(&["run", "-c", "job.toml", "-s", "models.precision=f32"]), 0);
        let status = json_of(&mut run(&["status", "--job", "out/job", "--json"]));
        assert_eq!(status["rows"]["committed"], 40, "{kind}: {status}");
        let sources = status["kept"]["texts"].as_object().unwrap();
        let kept = sources.iter().find(|(source, _)| *source != "synthetic").map(|(_, of)| &of["kept"]);
        assert!(kept.and_then(|kept| kept.as_u64()).is_some_and(|kept| kept > 0), "{kind}: {status}");
    }
}

#[test]
fn a_list_of_links_gets_settings_that_fetch_them() {
    let (folder, _) = workspace("table");
    let links = folder.path().join("links");
    write("links", &links, &["https://images.example"], &[folder.path().join("web.parquet")]);
    expect(init(folder.path(), links.to_str().unwrap()).arg("--config").arg("links.toml"), 0);
    let settings = fs::read_to_string(folder.path().join("links.toml")).unwrap();
    for line in ["image = \"url\"", "fetch = true", "text = \"caption\""] {
        assert!(settings.contains(line), "{line} is missing:\n{settings}");
    }
    let mut plan = capfilt();
    plan.current_dir(folder.path()).args(["plan", "-c", "links.toml", "--calibrate", "0", "--json"]);
    assert_eq!(json_of(&mut plan)["rows"], 40);
}

#[test]
fn init_keeps_an_existing_file_and_names_an_input_without_files() {
    let (folder, input) = workspace("table");
    fs::write(folder.path().join("job.toml"), "mine").unwrap();
    let said = stderr(&expect(&mut init(folder.path(), input.to_str().unwrap()), 2));
    assert!(said.contains("cannot create job.toml"), "{said}");
    assert_eq!(fs::read_to_string(folder.path().join("job.toml")).unwrap(), "mine");
    fs::create_dir(folder.path().join("nothing")).unwrap();
    let said = stderr(&expect(init(folder.path(), "nothing").args(["-c", "other.toml"]), 2));
    assert!(said.contains("there is no input file"), "{said}");
}

#[test]
fn init_prints_each_kind_of_settings_file_with_every_key_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let print = |kind: &str| {
        let mut command = capfilt();
        command.current_dir(folder.path()).args(["init", "--print-all", kind]);
        stdout(&expect(&mut command, 0))
    };
    for (kind, file) in [
        ("job", "job.toml"),
        ("pretrain", "train/pretrain.toml"),
        ("filter", "train/filter.toml"),
        ("captioner", "train/captioner.toml"),
        ("vqa", "train/vqa.toml"),
        ("nlvr", "train/nlvr.toml"),
        ("loop", "loop.toml"),
    ] {
        assert_eq!(print(kind), fs::read_to_string(repo().join("configs").join(file)).unwrap(), "{kind}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = expect(capfilt().arg("init"), 2);
    assert!(stderr(&missing).contains("<INPUT>"), "{}", stderr(&missing));
    expect(capfilt().args(["init", "web/", "--print-all", "job"]), 2);
}
