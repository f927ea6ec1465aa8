//! The promise that `capfilt explain` shows what the ledger has of a row, and nothing of a text acts on the
//! terminal.

use crate::support::{
    Job, expect, repo, stderr, stdout,
    tables::{Tables, json_of},
};
use serde_json::Value;
use std::process::Command;

/// Asks about a row; `name` is `--key KEY` or `--row FILE#ROW`.
fn explain(job: &Job, name: [&str; 2]) -> Command {
    let mut command = job.command_by_url("explain");
    command.args(name);
    command
}

/// Rows whose keys and texts have control characters, a change of direction and markup.
fn hostile(path: &std::path::Path) {
    let script = "import sys, pyarrow as pa, pyarrow.parquet as pq\n\
                  rows = pq.read_table(sys.argv[1]).slice(0, 2).to_pylist()\n\
                  rows[0]['key'] = 'k\\x1b[2J'\n\
                  rows[0]['caption'] = '<b>\\u202etxet\\x1b]0;title\\x07 \\x00 end'\n\
                  pq.write_table(pa.Table.from_pylist(rows), sys.argv[2])";
    let mut python = Command::new(repo().join(".venv/bin/python"));
    expect(python.args(["-c", script]).arg(repo().join("tests/data/web/web-00000.parquet")).arg(path), 0);
}

#[test]
fn a_row_is_explained_by_key_and_by_address_with_the_numbers_of_the_ledger() {
    let job = Job::over_one_file();
    job.run();
    for row in Tables::of(&job).ledger.iter().take(12) {
        let (key, address) =
            (row["key"].as_str().unwrap(), format!("{}#{}", row["file"].as_str().unwrap(), row["row"]));
        let found = json_of(explain(&job, ["--key", key]).arg("--json"));
        assert_eq!(found, json_of(explain(&job, ["--row", &address]).arg("--json")));
        for field in ["key", "file", "row", "image_sha256", "image_hash", "width", "status", "control_itm"] {
            assert_eq!(found[field], row[field], "{key}: {field}");
        }
        let texts = |row: &Value| -> Vec<[Value; 5]> {
            let of = |text: &Value| ["source", "text", "itm", "itc", "kept"].map(|field| text[field].clone());
            row["texts"].as_array().unwrap().iter().map(of).collect()
        };
        assert_eq!(texts(&found), texts(row), "{key}");
        let people = stdout(&expect(&mut explain(&job, ["--key", key]), 0));
        let verdict = if row["texts"][0]["kept"] == true { "kept, threshold 0.5" } else { "threshold 0.5" };
        assert!(people.contains(key) && people.contains(verdict), "{people}");
        assert!(people.contains("attempts/") && people.contains("filter      digest "), "{people}");
    }
}

#[test]
fn a_name_that_no_row_has_is_a_usage_error() {
    let job = Job::over_one_file();
    job.run();
    let missing = expect(&mut explain(&job, ["--key", "no such key"]), 2);
    assert!(stderr(&missing).contains("no committed row has this name; 0 shards"), "{}", stderr(&missing));
    let wrong = expect(&mut explain(&job, ["--row", "web.parquet"]), 2);
    assert!(stderr(&wrong).contains("expected FILE#ROW"), "{}", stderr(&wrong));
}

#[test]
fn texts_and_keys_do_not_act_on_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("hostile.parquet");
    hostile(&input);
    let job = Job::over(input.to_str().unwrap());
    job.run();
    let people = stdout(&expect(&mut explain(&job, ["--row", "hostile.parquet#0"]), 0));
    assert!(people.contains(r"k\u{1b}[2J") && people.contains(r"<b>\u{202e}txet"), "{people}");
    let acts = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!people.contains(acts), "{people:?}");
    let found = json_of(explain(&job, ["--row", "hostile.parquet#0"]).arg("--json"));
    assert_eq!(found["key"], "k\u{1b}[2J");
}
