//! A job's committed tables as JSON rows, read by pyarrow, with each byte string as its SHA-256.

use super::{Job, expect, python, stdout};
use serde_json::Value;

pub struct Tables {
    pub ledger: Vec<Value>,
    pub pairs: Vec<Value>,
    pub quarantine: Vec<Value>,
}

impl Tables {
    pub fn of(job: &Job) -> Self {
        let mut all = json_of(python("tests/support/tables.py").arg(&job.objects));
        let mut rows = |table: &str| match all[table].take() {
            Value::Array(rows) => rows,
            other => panic!("{table}: {other}"),
        };
        Self { ledger: rows("ledger"), pairs: rows("pairs"), quarantine: rows("quarantine") }
    }

    /// The one ledger row of this key.
    pub fn row(&self, key: &str) -> &Value {
        let mut found = self.ledger.iter().filter(|row| row["key"] == key);
        let row = found.next().unwrap_or_else(|| panic!("the ledger has no row {key:?}"));
        assert!(found.next().is_none(), "the ledger has row {key:?} twice");
        row
    }
}

/// Texts of a ledger row, of one source.
pub fn texts_of<'a>(row: &'a Value, source: &str) -> Vec<&'a Value> {
    row["texts"].as_array().unwrap().iter().filter(|text| text["source"] == source).collect()
}

/// The text of the column `caption`, for jobs over one text column.
pub fn input_text(row: &Value) -> &Value {
    let texts = texts_of(row, "caption");
    assert_eq!(texts.len(), 1, "{row}");
    texts[0]
}

/// The generated captions of a ledger row.
pub fn captions(row: &Value) -> Vec<&Value> {
    texts_of(row, "synthetic")
}

/// Kept and judged texts of one source, and all of them, in the tally of a record.
pub fn counted(tally: &Value, source: &str) -> [u64; 3] {
    let texts = &tally["texts"][source];
    let statuses = texts["statuses"].as_object().unwrap();
    let all = statuses.values().map(|count| count.as_u64().unwrap()).sum();
    let judged = statuses.get("judged").map_or(0, |count| count.as_u64().unwrap());
    [texts["kept"].as_u64().unwrap(), judged, all]
}

/// Output of a command, which must succeed.
pub fn json_of(command: &mut std::process::Command) -> Value {
    serde_json::from_str(&stdout(&expect(command, 0))).unwrap()
}

/// How far a score may move when other images share its batch: another batch is another order of summation.
///
/// Captions may not move at all: they follow from seed and image.
const SCORE_TOLERANCE: f64 = 1e-5;

/// Asserts that two ledger rows judge the same image and text in the same way. Addresses may differ, and the
/// negative control does, since it is a text of the same row group.
pub fn assert_judged_alike(a: &Value, b: &Value, what: &str) {
    for column in ["image_sha256", "width", "height", "status", "detail"] {
        assert_eq!(a[column], b[column], "{what}: {column}");
    }
    let texts = |row: &Value| row["texts"].as_array().unwrap().clone();
    let (a, b) = (texts(a), texts(b));
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(&b) {
        for field in ["text", "status", "kept"] {
            assert_eq!(a[field], b[field], "{what}: {field}");
        }
        // Text columns may have other names.
        assert_eq!(a["source"] == "synthetic", b["source"] == "synthetic", "{what}: source");
        assert_scored_alike(a, b, what);
    }
}

/// Asserts that two judged texts have the same scores.
pub fn assert_scored_alike(a: &Value, b: &Value, what: &str) {
    for score in ["itm", "itc"] {
        let is_near = match (a[score].as_f64(), b[score].as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= SCORE_TOLERANCE,
            (a, b) => a == b,
        };
        assert!(is_near, "{what}: {score} is {} and {}", a[score], b[score]);
    }
}
