//! The promise that pyarrow, DuckDB, polars and Hugging Face's `datasets` read what a job writes, over
//! photographs in each layout that an input may have. `readers.py` writes the inputs, and reads with those
//! four.

use crate::support::{
    Job, python, stdout,
    tables::{Tables, assert_judged_alike, counted, json_of},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::PathBuf};

/// Photographs in three layouts.
struct Web {
    folder: tempfile::TempDir,
    /// Layout, then key (or path, where there is no key), to the image's SHA-256.
    digests: Value,
}

/// The layouts, with the settings that read them.
const LAYOUTS: [(&str, &[&str]); 3] = [
    ("img2dataset", &["shards.rows=6"]),
    ("huggingface", &["shards.rows=10", "input.image=image", "input.text=text", "input.key=image_id"]),
    ("paths", &["input.image=file", "input.text=alt"]),
];

impl Web {
    fn write() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let digests = json_of(python("tests/readers.py").arg("write").arg(folder.path()));
        Self { folder, digests }
    }

    fn input(&self, layout: &str) -> PathBuf {
        self.folder.path().join(layout)
    }

    /// A job over a layout. The models know no photographs; these thresholds keep some texts of either kind.
    fn job(&self, layout: &str, settings: &[&str]) -> Job {
        let layout_settings = LAYOUTS.iter().find(|(name, _)| *name == layout).unwrap().1;
        let thresholds = ["filter.web_threshold=0.0003", "filter.synthetic_threshold=0.004"];
        Job::over(&self.input(layout).display().to_string())
            .set(&thresholds)
            .set(layout_settings)
            .set(settings)
    }
}

/// Tallies of a finished job, from its manifest.
fn run(job: &Job) -> Value {
    let manifest = stdout(&job.run()).lines().last().unwrap().to_owned();
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).unwrap()).unwrap();
    manifest["tally"].clone()
}

fn rows(table: &Value) -> &Vec<Value> {
    table.as_array().unwrap()
}

/// Kept texts of a ledger: web and synthetic.
fn kept(ledger: &[Value]) -> (usize, usize) {
    let kept = ledger.iter().flat_map(|row| rows(&row["texts"])).filter(|text| text["kept"] == true);
    let (synthetic, web): (Vec<_>, Vec<_>) = kept.partition(|text| text["source"] == "synthetic");
    (web.len(), synthetic.len())
}

#[test]
fn four_readers_read_the_same_rows_and_captions_of_every_layout() {
    let web = Web::write();
    for (layout, _) in LAYOUTS {
        let job = web.job(layout, &[]);
        let tally = run(&job);
        let readers = json_of(python("tests/readers.py").arg("read").arg(&job.url));
        let first = &readers["pyarrow"];
        for (reader, tables) in readers.as_object().unwrap() {
            for table in ["ledger", "pairs"] {
                let (found, expected) = (rows(&tables[table]), rows(&first[table]));
                assert_eq!(found.len(), expected.len(), "{layout}: rows of {table} by {reader}");
                for (found, expected) in found.iter().zip(expected) {
                    assert_eq!(found, expected, "{layout}: {table} by {reader}");
                }
            }
        }
        let (ledger, pairs) = (rows(&first["ledger"]), rows(&first["pairs"]));
        let (kept_web, kept_synthetic) = kept(ledger);
        let by_status: u64 = tally["rows"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
        assert_eq!((ledger.len() as u64, &json!(pairs.len())), (by_status, &tally["pairs"]), "{layout}");
        assert_eq!(
            tally["texts"].as_object().unwrap().keys().map(|source| counted(&tally, source)[0]).sum::<u64>(),
            (kept_web + kept_synthetic) as u64
        );
        assert_eq!(
            pairs.iter().map(|row| rows(&row["texts"]).len()).sum::<usize>(),
            kept_web + kept_synthetic
        );
        assert!(
            kept_web > 0 && kept_synthetic > 0 && pairs.len() < ledger.len(),
            "{layout}: the thresholds say little"
        );
    }
}

#[test]
fn datasets_shows_the_pairs_images_as_images() {
    let web = Web::write();
    let passed = "input.passthrough=[\"url\", \"seen at\", \"licence\"]";
    for (layout, settings) in [("img2dataset", &[passed][..]), ("huggingface", &[]), ("paths", &[])] {
        let job = web.job(layout, settings);
        run(&job);
        let shown = json_of(python("tests/readers.py").arg("images").arg(&job.url));
        let pairs = Tables::of(&job).pairs;
        let sizes: Vec<Value> = pairs.iter().map(|row| json!([row["width"], row["height"]])).collect();
        let expected = json!({"feature": "Image", "pictures": true, "sizes": sizes, "streamed": sizes[0]});
        assert_eq!(shown, expected, "{layout}");
    }
}

#[test]
fn the_pairs_hold_the_input_s_bytes() {
    let web = Web::write();
    for (layout, _) in LAYOUTS {
        let job = web.job(layout, &["filter.synthetic_threshold=0.0"]);
        run(&job);
        let expected: BTreeMap<&str, &str> = web.digests[layout]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, sha)| (&**key, sha.as_str().unwrap()))
            .collect();
        let pairs = Tables::of(&job).pairs;
        // Where there is no key, the path names the row.
        let name = |row: &'_ Value| row["key"].as_str().or(row["image"]["path"].as_str()).unwrap().to_owned();
        let found: BTreeMap<String, String> =
            pairs.iter().map(|row| (name(row), row["image"]["bytes"].as_str().unwrap().to_owned())).collect();
        assert!(found.iter().map(|(key, sha)| (&**key, &**sha)).eq(expected), "{layout}: {found:#?}");
    }
}

#[test]
fn equal_images_get_equal_texts_and_verdicts_in_every_layout() {
    let web = Web::write();
    let ledgers = LAYOUTS.map(|(layout, _)| {
        let job = web.job(layout, &[]);
        run(&job);
        let judged = Tables::of(&job).ledger.into_iter().filter(|row| row["status"] == "judged");
        judged.map(|row| (row["image_sha256"].as_str().unwrap().to_owned(), row)).collect::<BTreeMap<_, _>>()
    });
    let [first, others @ ..] = &ledgers;
    assert_eq!(first.len(), web.digests["paths"].as_object().unwrap().len());
    for other in others {
        assert!(first.keys().eq(other.keys()));
        first.iter().for_each(|(sha256, row)| assert_judged_alike(row, &other[sha256], sha256));
    }
}

#[test]
fn failed_downloads_are_missing_images_or_left_out_by_where() {
    let web = Web::write();
    let (all, some) =
        (web.job("img2dataset", &[]), web.job("img2dataset", &["input.where=status = 'success'"]));
    let (all_tally, some_tally) = (run(&all), run(&some));
    assert_eq!(all_tally["rows"]["image_missing"], some_tally["rows"]["not_selected"]);
    assert!(all_tally["rows"]["image_missing"].as_u64() > Some(0));
    let (all, some) = (Tables::of(&all), Tables::of(&some));
    assert_eq!(all.ledger.len(), some.ledger.len());
    for (all, some) in all.ledger.iter().zip(&some.ledger) {
        match all["status"].as_str().unwrap() {
            "judged" => assert_eq!(all, some),
            _ => assert_eq!(
                (&all["status"], &some["status"]),
                (&json!("image_missing"), &json!("not_selected"))
            ),
        }
    }
    assert_eq!(all.pairs, some.pairs);
}

#[test]
fn columns_pass_through_with_their_type_and_their_row() {
    let web = Web::write();
    let columns = ["url", "original_width", "exif", "error_message", "seen at", "licence", "sha256"];
    let job = web.job("img2dataset", &[&format!("input.passthrough={columns:?}")]);
    let tally = run(&job);
    let mut python = python("tests/readers.py");
    let passed = json_of(python.arg("passed").arg(&job.url).arg(web.input("img2dataset")).args(columns));
    let order = [&["key", "image", "texts", "width", "height"][..], &columns].concat();
    assert_eq!(passed, json!({"rows": tally["pairs"], "order": order, "other": []}));
}

#[test]
fn a_reference_points_at_the_input_s_bytes_and_holds_none() {
    let web = Web::write();
    for (layout, column) in [("img2dataset", "jpg"), ("huggingface", "image"), ("paths", "file")] {
        let job = web.job(layout, &["output.images=reference"]);
        run(&job);
        let mut python = python("tests/readers.py");
        let found = json_of(python.arg("referenced").arg(&job.url).arg(web.input(layout)).arg(column));
        let tables = Tables::of(&job);
        let keeps = |row: &&Value| kept(std::slice::from_ref(*row)) != (0, 0);
        let expected: Vec<&Value> =
            tables.ledger.iter().filter(keeps).map(|row| &row["image_sha256"]).collect();
        assert_eq!(rows(&found).iter().collect::<Vec<_>>(), expected, "{layout}");
        assert_eq!(job.verify(0)["ok"], true);
    }
}
