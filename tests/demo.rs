//! The promise of `make demo`: models trained by this program clean pictures that they were not trained on,
//! and are right.

use crate::support::{capfilt, expect, repo, stdout, tables::json_of};
use serde_json::json;

/// Promise of demo/README.md for the shipped models on the shipped pictures: areas under ROC curves,
/// and shares in per cent.
const PROMISED: [(&str, f64); 6] = [
    ("auc_swapped", 0.99),
    ("auc_unrelated", 0.99),
    ("web_kept_true", 98.5),
    ("web_true_kept", 97.4),
    ("synthetic_true_raw", 92.4),
    ("synthetic_kept_true", 97.0),
];

#[test]
fn the_shipped_models_keep_what_is_true_and_little_else() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("job").display().to_string();
    let mut run = capfilt();
    run.current_dir(repo()).args(["run", "-c", "demo/demo.toml", "-s", &format!("job.url={url}")]);
    expect(&mut run, 0);
    let mut truth = capfilt();
    truth.current_dir(repo()).args(["demo", "--json", "--truth", &url, "--input", "demo/web"]);
    let found = json_of(&mut truth);
    assert_eq!(
        [&found["rows"], &found["missing_keys"], &found["doubled_keys"]],
        [&json!(2400), &json!(0), &json!(0)]
    );
    for (figure, least) in PROMISED {
        let value = found[figure].as_f64().unwrap();
        assert!(value >= least, "{figure}: {value}, promised {least}\n{found:#}");
    }
}

#[test]
fn the_shipped_models_say_what_they_were_made_from() {
    for (model, pretrained) in [("filter", 3), ("captioner", 3)] {
        let file = repo().join("demo/models").join(model).join("model.safetensors");
        let lineage = stdout(&expect(capfilt().arg("lineage").arg(&file), 0));
        assert!(lineage.starts_with(&format!("{model}: ")), "{lineage}");
        assert_eq!(
            lineage.lines().filter(|line| line.starts_with("pretrain: ")).count(),
            pretrained,
            "{lineage}"
        );
    }
}
