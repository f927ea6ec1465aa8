//! Several texts per image: columns, lists of texts and captions, each judged separately.

use crate::support::{
    Job, expect, python, stdout,
    tables::{Tables, assert_scored_alike, captions, counted, json_of, texts_of},
};
use serde_json::{Value, json};

/// The text columns of `several`.
const COLUMNS: &str = "input.text=[\"alt_text\", \"vlm\", \"tags\"]";

/// Thresholds between the scores of the tests' models.
const THRESHOLDS: [&str; 3] = [
    "filter.web_threshold=0.0003",
    "filter.synthetic_threshold=0.8",
    "filter.thresholds={ vlm = 0.0001, tags = 0.0009 }",
];

/// Inputs that `texts.py` writes.
struct Inputs(tempfile::TempDir);

impl Inputs {
    fn write() -> Self {
        let folder = tempfile::tempdir().unwrap();
        json_of(python("tests/texts.py").arg("make").arg(folder.path().join("web")));
        Self(folder)
    }

    fn job(&self, input: &str, settings: &[&str]) -> Job {
        Job::over(&self.0.path().join("web").join(input).display().to_string()).set(settings)
    }
}

/// Runs a job to its end and verifies it; returns its tables and the tally of its manifest.
fn finished(job: &Job) -> (Tables, Value) {
    let manifest = stdout(&job.run()).lines().last().unwrap().to_owned();
    assert_eq!(job.verify(0)["ok"], true);
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    (Tables::of(job), manifest["tally"].clone())
}

fn files(job: &Job, table: &str) -> String {
    let output = expect(job.command_by_url("files").args(["--table", table]), 0);
    stdout(&output).lines().collect::<Vec<_>>().join(",")
}

#[test]
fn each_of_several_texts_has_the_score_that_it_has_alone() {
    let inputs = Inputs::write();
    let (several, _) = finished(&inputs.job("several", &[COLUMNS]));
    let mut compared = 0;
    for (column, source, at) in
        [("alt_text", "alt_text", 0), ("vlm", "vlm", 0), ("tag_0", "tags", 0), ("tag_1", "tags", 1)]
    {
        let (alone, _) = finished(&inputs.job("alone", &[&format!("input.text={column}")]));
        for (row, other) in several.ledger.iter().zip(&alone.ledger) {
            let what = format!("{column} of row {}", row["row"]);
            let (text, single) = (texts_of(row, source)[at], texts_of(other, column)[0]);
            for field in ["text", "status"] {
                assert_eq!(text[field], single[field], "{what}: {field}");
            }
            assert_scored_alike(text, single, &what);
            compared += usize::from(text["itm"].is_number());
            // The input's texts do not change what the captioner writes.
            let (ours, theirs) = (captions(row)[0], captions(other)[0]);
            assert_eq!(ours["text"], theirs["text"], "{what}");
            assert_scored_alike(ours, theirs, &what);
        }
    }
    assert!(compared > 150, "{compared} texts were judged");
}

#[test]
fn each_source_has_its_threshold_and_its_counts() {
    let inputs = Inputs::write();
    let job = inputs.job("several", &[COLUMNS]).set(&THRESHOLDS);
    let (tables, tally) = finished(&job);
    let status: Value =
        serde_json::from_str(&stdout(&expect(job.command_by_url("status").arg("--json"), 0))).unwrap();
    let mut kept_texts = 0;
    for (source, threshold) in [("alt_text", 0.0003), ("vlm", 0.0001), ("tags", 0.0009), ("synthetic", 0.8)] {
        let texts: Vec<&Value> = tables.ledger.iter().flat_map(|row| texts_of(row, source)).collect();
        let judged: Vec<&&Value> = texts.iter().filter(|text| text["itm"].is_number()).collect();
        let kept = |text: &&&Value| text["itm"].as_f64().unwrap() >= threshold;
        assert!(judged.iter().all(|text| text["kept"] == kept(text)), "{source}");
        let expected =
            [judged.iter().filter(|text| kept(text)).count(), judged.len(), texts.len()].map(|n| n as u64);
        assert_eq!(counted(&tally, source), expected, "{source}: {tally}");
        assert!(0 < expected[0] && expected[0] < expected[1], "{source}: the threshold says little");
        assert_eq!(status["kept"]["texts"][source]["kept"], expected[0], "{status}");
        kept_texts += expected[0];
    }
    assert_eq!(counted(&tally, "tags")[2], 3 * counted(&tally, "alt_text")[2], "three texts in each list");
    let of_pairs = |row: &Value| row["texts"].as_array().unwrap().len() as u64;
    assert_eq!(tables.pairs.iter().map(of_pairs).sum::<u64>(), kept_texts);
}

#[test]
fn a_list_without_texts_or_with_ten_thousand_of_them_costs_itself() {
    let inputs = Inputs::write();
    let (tables, tally) = finished(&inputs.job("lists", &["input.text=tags", "limits.texts=3"]));
    let statuses = |row: &Value| -> Vec<String> {
        let texts = texts_of(row, "tags").into_iter();
        texts.map(|text| text["status"].as_str().unwrap().to_owned()).collect()
    };
    let found: Vec<Vec<String>> = tables.ledger.iter().map(statuses).collect();
    let expected: [&[&str]; 7] = [
        &["missing"],
        &["missing"],
        &["missing"],
        &["empty"],
        &["empty", "judged"],
        &["judged", "judged", "judged", "too_many"],
        &["not_utf8", "judged"],
    ];
    assert_eq!(found, expected);
    assert!(tables.ledger.iter().all(|row| row["status"] == "judged"), "the images are judged");
    assert_eq!(texts_of(&tables.ledger[5], "tags")[3]["text"], Value::Null);
    assert_eq!(tally["texts"]["tags"]["statuses"]["too_many"], 1);
}

#[test]
fn one_column_named_as_a_list_or_as_a_text_gives_the_same_bytes() {
    let inputs = Inputs::write();
    let [text, list] = ["input.text=alt_text", "input.text=[\"alt_text\"]"].map(|setting| {
        let job = inputs.job("alone", &[setting]);
        job.run();
        job
    });
    assert!(text.committed() == list.committed(), "the committed tables differ");
}

#[test]
fn the_queries_of_the_page_find_what_the_tables_have() {
    let inputs = Inputs::write();
    let job = inputs.job("several", &[COLUMNS]).set(&THRESHOLDS);
    let (tables, tally) = finished(&job);
    let (ledgers, pairs) = (files(&job, "ledger"), files(&job, "pairs"));
    let found = json_of(python("tests/texts.py").args(["query", &ledgers, &pairs]));
    let rows = |query: usize| found["rows"][query].as_array().unwrap();
    assert_eq!(found["rows"].as_array().unwrap().len(), 5);
    for row in rows(0) {
        let [kept, judged, _] = counted(&tally, row["source"].as_str().unwrap());
        assert_eq!(row["judged"], judged, "{row}");
        assert!((row["kept"].as_f64().unwrap() - kept as f64 / judged as f64).abs() < 1e-9, "{row}");
    }
    assert_eq!(rows(0).len(), 4);
    assert_eq!(json!(rows(1).len()), tally["pairs"]);
    assert_eq!(rows(2).len(), 9 * 4);
    let rescued = tables.ledger.iter().filter(|row| {
        let kept = |text: &Value| text["kept"] == true;
        row["texts"].as_array().unwrap().iter().any(kept) && !kept(texts_of(row, "alt_text")[0])
    });
    assert_eq!(rows(3).len(), rescued.count());
    let kept: u64 =
        ["alt_text", "vlm", "tags", "synthetic"].map(|source| counted(&tally, source)[0]).iter().sum();
    assert_eq!(rows(4).len() as u64, kept);
}
