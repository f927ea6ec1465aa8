//! The promise of the first pages: with the wheel alone, a tar of photographs becomes a data set on which a
//! trainer's loss falls, by `init`, `plan`, `run`, `files` and `export` as the pages write them.

use crate::{
    support::{expect, python, repo, stdout},
    wheel::{installed, readers, with_torch},
};
use serde_json::Value;
use std::process::Command;

const SEED: &str = "7";

fn json(command: &mut Command) -> Value {
    let said = stdout(&expect(command, 0));
    serde_json::from_str(said.lines().last().unwrap()).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key}: {value}"))
}

#[test]
fn a_tar_of_photographs_becomes_training_data_with_the_commands_of_the_wheel() {
    println!("seed {SEED}");
    let folder = tempfile::tempdir().unwrap();
    let script = "tests/first_job.py";
    expect(python(script).arg("make").arg(folder.path().join("web")).arg(SEED), 0);
    let capfilt = |arguments: &[&str]| {
        let mut command = installed(folder.path());
        with_torch(&mut command).args(arguments);
        command
    };
    let models = repo().join("demo/models");
    let model = |name: &str| models.join(name).display().to_string();
    let (captioner, filter) = (model("captioner"), model("filter"));
    expect(&mut capfilt(&["init", "web/", "--captioner", &captioner, "--filter", &filter]), 0);
    let plan = json(&mut capfilt(&["plan", "-c", "job.toml", "--json", "--calibrate", "0"]));
    assert_eq!(number(&plan, "rows"), 90, "{plan}");
    // The demo's models know drawn shapes only; with their thresholds they keep few of these texts.
    let thresholds = ["-s", "filter.web_threshold=0.05", "-s", "filter.synthetic_threshold=0.05"];
    expect(capfilt(&["run", "-c", "job.toml"]).args(thresholds), 0);
    let files = stdout(&expect(&mut capfilt(&["files", "--job", "out/job", "--table", "pairs"]), 0));

    let pairs = json(python(script).arg("count").args(files.lines()));
    assert!(number(&pairs, "rows") > 16 && number(&pairs, "urls") == number(&pairs, "rows"), "{pairs}");

    let export = ["export", "--job", "out/job", "--format", "webdataset", "--to", "out/dprime"];
    let said = stdout(&expect(&mut capfilt(&export), 0));
    assert!(said.contains(&format!("{} pairs (0 human", number(&pairs, "texts"))), "{pairs}: {said}");
    let mut train = Command::new(readers());
    train.arg(repo().join(script)).arg("train").arg(folder.path().join("out/dprime/data"));
    let losses: Vec<f64> = serde_json::from_value(json(&mut train)).unwrap();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert_eq!(losses.len(), 50);
    assert!(mean(&losses[40..]) < 0.9 * mean(&losses[..10]), "{losses:?}");
}
