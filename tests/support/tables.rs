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
    for column in
        ["image_sha256", "width", "height", "status", "web_text", "web_status", "web_kept", "detail"]
    {
        assert_eq!(a[column], b[column], "{what}: {column}");
    }
    assert_scored_alike(a, b, ["web_itm", "web_itc"], what);
    let texts = |row: &Value| row["synthetic"].as_array().unwrap().clone();
    let (a, b) = (texts(a), texts(b));
    assert_eq!(a.len(), b.len(), "{what}");
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((&a["text"], &a["kept"]), (&b["text"], &b["kept"]), "{what}");
        assert_scored_alike(a, b, ["itm", "itc"], what);
    }
}

fn assert_scored_alike(a: &Value, b: &Value, scores: [&str; 2], what: &str) {
    for score in scores {
        let is_near = match (a[score].as_f64(), b[score].as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= SCORE_TOLERANCE,
            (a, b) => a == b,
        };
        assert!(is_near, "{what}: {score} is {} and {}", a[score], b[score]);
    }
}
