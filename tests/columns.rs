//! The promise that a column costs no more than what is wrong with it: a value costs itself, and a file that
//! cannot be read is refused when the job is planned, by the column's name. `columns.py` writes the inputs.

use crate::support::{
    Job, capfilt, expect, python, stderr, stdout,
    tables::{Tables, input_text, json_of},
};
use serde_json::{Value, json};

/// Levels of the deepest column that passes through.
const LEVELS: u32 = 50;

fn job_over(case: &str, levels: u32, passthrough: &str) -> Job {
    let job = Job::over("web");
    let web = job.folder.path().join("web");
    expect(python("tests/columns.py").arg(case).arg(&web).arg(levels.to_string()), 0);
    let settings = [
        format!("input.url={}", web.display()),
        format!("input.passthrough={passthrough}"),
        "filter.web_threshold=0.0".to_owned(),
        "filter.synthetic_threshold=0.0".to_owned(),
    ];
    job.set(&settings.each_ref().map(String::as_str))
}

/// Output of `plan` for an input with refused files.
fn planned(job: &Job) -> Value {
    let output = expect(job.command("plan").args(["--json", "--calibrate", "0"]), 1);
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn odd_values_cost_themselves_and_columns_without_values_cost_nothing() {
    let job = job_over("odd", LEVELS, "[\"url\", \"until\", \"deep\"]");
    let ran = expect(&mut job.command("run"), 0);
    assert!(!stderr(&ran).contains("panicked"), "{}", stderr(&ran));
    assert_eq!(job.verify(0)["rows"], 7);
    let tables = Tables::of(&job);
    let column = |name: &str| tables.ledger.iter().map(|row| row[name].clone()).collect::<Vec<Value>>();
    assert_eq!(
        column("key"),
        [
            json!(null),
            json!("good 01"),
            json!("good 02"),
            json!("good 03"),
            json!(null),
            json!(null),
            json!("struct")
        ]
    );
    let missing = "image_missing";
    assert_eq!(column("status"), ["judged", "judged", "judged", "judged", missing, missing, "judged"]);
    let none = "not_reached";
    let texts: Vec<_> = tables.ledger.iter().map(|row| input_text(row)["status"].clone()).collect();
    assert_eq!(texts, ["judged", "not_utf8", "judged", "judged", none, none, "missing"]);
    for (row, shown) in [(0, "`key` is not UTF-8"), (2, "`url` is not UTF-8")] {
        assert!(tables.ledger[row]["detail"].as_str().unwrap().starts_with(shown), "{}", tables.ledger[row]);
    }
    assert!([1, 3, 4, 5, 6].iter().all(|row| tables.ledger[*row]["detail"].is_null()));
    let passed: Vec<_> = tables.pairs.iter().map(|row| (row["url"].clone(), row["until"].clone())).collect();
    let expected = [
        (json!("u0"), json!("2024-01-01 00:00:00.000001")),
        (json!("u1"), json!("9999-12-31 00:00:00")),
        (json!(null), json!("0001-01-01 00:00:00")),
        (json!("u3"), json!(null)),
        (json!(null), json!(null)),
    ];
    assert_eq!(passed, expected);
    // What run writes, other readers read, however deep it is.
    let bottom = (1..LEVELS).fold(&tables.pairs[3]["deep"], |cell, _| &cell["s"]);
    assert_eq!(*bottom, 3);
}

#[test]
fn what_cannot_be_read_is_refused_at_plan_by_the_column_s_name() {
    let job = job_over("refused", LEVELS + 1, "[\"deep\"]");
    let plan = planned(&job);
    let refused = plan["refused"].as_array().unwrap();
    let expected = [
        ("deep column.parquet", "column `deep` is nested 51 levels deep"),
        ("deep schema.parquet", "the schema nests columns more than 128 levels deep"),
        ("encrypted caption.parquet", "column `caption` (input.text) is encrypted"),
        ("two captions.parquet", "there are 2 columns called `caption` (input.text)"),
    ];
    assert_eq!(refused.len(), expected.len(), "{refused:#?}");
    for ((path, reason), found) in expected.iter().zip(refused) {
        assert_eq!(found["path"], *path);
        assert!(found["reason"].as_str().unwrap().contains(reason), "{found}");
    }
    expect(&mut job.command("run"), 1);
    assert_eq!(job.verify(0)["rows"], 2);

    // Columns that no setting names may be as they like.
    let other = format!("job.url={}-2", job.url);
    let job = job.set(&["input.passthrough=[]", "input.text=key", &other]);
    let plan = planned(&job);
    let paths: Vec<&str> =
        plan["refused"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["deep schema.parquet"]);
}

#[test]
fn a_page_that_differs_from_its_checksum_is_not_judged() {
    let job = job_over("checksums", 1, "[]").set(&["limits.attempts=1"]);
    let ran = expect(&mut job.command("run"), 1);
    assert!(stdout(&ran).contains("changed.parquet: ") || stderr(&ran).contains("changed.parquet: "));
    let status: Value = json_of(capfilt().args(["status", "--json", "--job", &job.url]));
    assert_eq!((&status["shards"]["committed"], &status["shards"]["quarantined"]), (&json!(1), &json!(1)));
    let texts: Vec<_> = Tables::of(&job).ledger.iter().map(|row| input_text(row)["text"].clone()).collect();
    assert_eq!(texts[3], "a red circle number 3");
    assert_eq!(texts.len(), 4);
}
