//! The promise of `capfilt report`: its numbers are those that DuckDB counts over the same ledgers, its page
//! runs nothing and fetches nothing with any texts in it, and a browser shows it to all readers.

use crate::support::{
    Job, capfilt, expect, python, repo, stderr, stdout,
    tables::json_of,
    tools::{self, need},
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

/// The demo's job, its page and its numbers, made once.
struct Demo {
    job: PathBuf,
    page: PathBuf,
    statistics: PathBuf,
    /// Truth of its texts, and the scores that the demo computes from it.
    truth: PathBuf,
    scores: Value,
}

static DEMO: LazyLock<Demo> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap().keep();
    let (job, page) = (folder.join("job"), folder.join("report.html"));
    let mut run = capfilt();
    let url = format!("job.url={}", job.display());
    run.current_dir(repo()).args(["run", "-c", "demo/demo.toml", "-s", &url]);
    expect(&mut run, 0);
    let truth = folder.join("truth.parquet");
    let mut score = capfilt();
    score.current_dir(repo()).args(["demo", "--input", "demo/web", "--json", "--truth"]).arg(&job);
    let scores = json_of(score.arg("--truth-table").arg(&truth));
    let output = expect(report(&job).arg("--json").arg("-o").arg(&page).arg("--truth").arg(&truth), 0);
    let statistics = folder.join("statistics.json");
    std::fs::write(&statistics, &output.stdout).unwrap();
    Demo { job, page, statistics, truth, scores }
});

fn report(job: &Path) -> Command {
    let mut command = capfilt();
    command.args(["report", "--job"]).arg(job);
    command
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Numbers of DuckDB over the demo's ledgers.
fn counted() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let conditions = folder.path().join("conditions.json");
    std::fs::write(&conditions, json!(conditions_of(&DEMO.page)).to_string()).unwrap();
    let mut duckdb = python("tests/report.py");
    json_of(duckdb.arg(&DEMO.job).arg(&DEMO.statistics).arg(&conditions).arg(&DEMO.truth))
}

/// Conditions of all bars, as the page shows them.
fn conditions_of(page: &Path) -> Vec<String> {
    let page = std::fs::read_to_string(page).unwrap();
    let conditions = page.split("<code class=\"where\">").skip(1);
    conditions.map(code).collect()
}

/// Text of an element `code` at its beginning.
fn code(rest: &str) -> String {
    let text = rest.split("</code>").next().unwrap();
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// Texts of a source that a command of the page keeps, without writing the cut.
fn kept_by(command: &str, source: &Value) -> Value {
    let own = command.strip_prefix("capfilt ").unwrap().replace(" --name other-threshold", " --json");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(format!("{} {own}", env!("CARGO_BIN_EXE_capfilt")));
    json_of(&mut shell)["sources"][source.as_str().unwrap()]["kept"].clone()
}

#[test]
fn the_page_s_commands_keep_the_texts_that_it_counts() {
    let (page, found) = (std::fs::read_to_string(&DEMO.page).unwrap(), read(&DEMO.statistics));
    let bars: Vec<&str> = page.split("<code class=\"recut\">").skip(1).collect();
    let panels = page.split("<code class=\"recut-threshold\"").skip(1);
    for (number, (source, panel)) in found["sources"].as_array().unwrap().iter().zip(panels).enumerate() {
        let command = code(panel.split_once('>').unwrap().1);
        assert_eq!(kept_by(&command, &source["source"]), source["kept"], "{command}");
        for bar in [0, 20, 41, 49] {
            let command = code(bars[50 * number + bar]);
            assert_eq!(kept_by(&command, &source["source"]), source["bars"][bar], "{command}");
        }
    }
}

#[test]
fn every_number_equals_duckdb_s_over_the_same_ledgers() {
    let found = read(&DEMO.statistics);
    let counted = counted();
    for field in ["rows", "control", "equal_images", "equal_hashes", "repeated_texts"] {
        assert_eq!(found[field], counted[field], "{field}");
    }
    assert_eq!(found["tally"]["rows"], counted["by_status"]);
    assert_eq!(found["tally"]["pairs"], counted["pairs"]);
    assert_eq!(found["drift"]["files"], counted["files"]);
    assert_eq!(found["drift"]["shards"], counted["shards"]);
    let sources = found["sources"].as_array().unwrap();
    assert_eq!(sources.len(), 2, "caption and synthetic");
    for (found, counted) in sources.iter().zip(counted["sources"].as_array().unwrap()) {
        for (field, expected) in counted.as_object().unwrap() {
            assert_eq!(found[field], *expected, "{field} of {}", found["source"]);
        }
        let position = found["position"].as_u64().unwrap() as usize;
        assert_eq!(found["kept_at"][position], found["kept"], "the slider begins at the job's threshold");
    }
    let bars: Vec<&Value> = sources.iter().flat_map(|source| source["bars"].as_array().unwrap()).collect();
    let selected: Vec<&Value> = counted["conditions"].as_array().unwrap().iter().collect();
    assert_eq!(selected, bars, "the condition of each bar selects its texts");
}

#[test]
fn precision_and_recall_are_those_that_the_demo_computes() {
    let (found, page) = (read(&DEMO.statistics), std::fs::read_to_string(&DEMO.page).unwrap());
    let percent = |part: &Value, whole: &Value| {
        (1000.0 * part.as_f64().unwrap() / whole.as_f64().unwrap()).round() / 10.0
    };
    for (source, name) in found["sources"].as_array().unwrap().iter().zip(["web", "synthetic"]) {
        let (truth, position) = (&source["truth"], source["position"].as_u64().unwrap() as usize);
        assert_eq!((&truth["kept"], &truth["known"]), (&source["kept"], &source["judged"]));
        assert_eq!(
            (&truth["kept_at"][position], &truth["kept_true_at"][position]),
            (&truth["kept"], &truth["kept_true"])
        );
        let precision = percent(&truth["kept_true"], &truth["kept"]);
        assert_eq!(DEMO.scores[format!("{name}_kept_true")], precision);
        assert!(
            page.contains(&format!("<span data-out=\"precision\">{precision:.1} %</span>")),
            "{precision}"
        );
        assert_eq!(DEMO.scores[format!("{name}_true_raw")], percent(&truth["are_true"], &truth["known"]));
        if name == "web" {
            let recall = percent(&truth["kept_true"], &truth["are_true"]);
            assert_eq!(DEMO.scores["web_true_kept"], recall);
            assert!(page.contains(&format!("<span data-out=\"recall\">{recall:.1} %</span>")), "{recall}");
        }
    }
}

#[test]
fn a_table_of_truths_that_does_not_fit_the_job_is_refused_with_the_reason() {
    let (web, readme) = (repo().join("demo/web/web-00000.parquet"), repo().join("demo/README.md"));
    for (path, more, why) in [
        (&web, &[][..], "no column of booleans has the name of a source (`caption`, `synthetic`)"),
        (&web, &["--truth-of", "caption=truth"], "it has no column `truth` of booleans"),
        (&DEMO.truth, &["--truth-of", "alt=caption"], "the job has no source `alt`"),
        (&readme, &[], "README.md: "),
    ] {
        let refused = expect(report(&DEMO.job).arg("--json").args(more).arg("--truth").arg(path), 2);
        assert!(stderr(&refused).contains(why), "{}", stderr(&refused));
    }
}

#[test]
fn the_page_has_the_job_s_counts_and_every_picture_and_is_small() {
    let (page, found) = (std::fs::read_to_string(&DEMO.page).unwrap(), read(&DEMO.statistics));
    assert!(page.len() < 8 << 20, "{} bytes", page.len());
    let pairs = found["tally"]["pairs"].as_u64().unwrap();
    assert!(page.contains(&format!("{},{:03}", pairs / 1000, pairs % 1000)), "{pairs} pairs");
    assert_eq!(found["work"]["attempts"], found["shards"]);
    assert_eq!(found["work"]["images"], found["tally"]["rows"]["judged"]);
    let (pictures, rows) = (page.matches("<symbol").count(), page.matches("<article").count());
    assert!(rows > 300, "{rows} rows");
    let judged = page.matches("· judged</p>").count();
    assert!(pictures >= judged, "{pictures} pictures of {judged} judged rows");
}

#[test]
fn the_file_is_report_html_and_numbers_alone_need_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let job = &DEMO.job;
    let written = expect(report(job).current_dir(&folder), 0);
    assert!(stderr(&written).contains("report.html: "), "{}", stderr(&written));
    assert!(stdout(&written).is_empty() && folder.path().join("report.html").exists());
    let folder = tempfile::tempdir().unwrap();
    let numbers = json_of(report(job).arg("--json").current_dir(&folder));
    assert_eq!((&numbers["rows"], &numbers["version"]), (&json!(2400), &json!(1)));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    let missing = expect(report(folder.path()).current_dir(&folder), 3);
    assert!(stderr(&missing).contains("job"), "{}", stderr(&missing));
}

#[test]
fn a_job_of_an_earlier_version_has_a_report() {
    let job = repo().join("tests/data/compat/job");
    let found = json_of(report(&job).arg("--json"));
    let manifest = read(&job.join("manifests/0.json"));
    assert_eq!((&found["rows"], &found["tally"]["rows"]), (&manifest["rows"], &manifest["tally"]["rows"]));
    let sources = found["sources"].as_array().unwrap();
    let kept: Vec<_> = sources.iter().map(|source| (&source["source"], &source["kept"])).collect();
    let tally = &manifest["tally"];
    let (caption, synthetic) = (json!("caption"), json!("synthetic"));
    assert_eq!(kept, [(&caption, &tally["web_kept"]), (&synthetic, &tally["synthetic_kept"])]);
}

/// Observations of a page in headless Chromium.
fn opened(page: &Path) -> Value {
    let mut node = Command::new("node");
    node.arg(repo().join("tests/report.mjs")).arg(repo().join(".browser")).arg(tools::chromium()).arg(page);
    node.args(std::env::var_os("CAPFILT_SCREENSHOTS"));
    json_of(&mut node)
}

/// Nothing ran, nothing was fetched, and no reader is left out.
fn assert_quiet(found: &Value) {
    for field in ["ran", "fetched", "errors", "axe", "overflow"] {
        assert_eq!(found[field], json!([]), "{field}");
    }
    assert_eq!(found["linked"], true, "a link to a row shows the row");
}

#[test]
fn a_browser_shows_the_page_to_everyone_and_its_slider_counts_exactly() {
    if !need(&tools::BROWSER) {
        return;
    }
    let (found, numbers) = (opened(&DEMO.page), read(&DEMO.statistics));
    assert_quiet(&found);
    let (source, positions) = (&numbers["sources"][0], numbers["positions"].as_array().unwrap());
    let shown = |n: &Value| n.as_str().unwrap().replace(',', "").parse::<f64>().unwrap();
    let used = &found["used"];
    for moved in used["moved"].as_array().unwrap() {
        let position = moved["position"].as_f64().unwrap();
        let at = positions.iter().position(|one| one.as_f64() == Some(position)).unwrap();
        assert_eq!(shown(&moved["kept"]), source["kept_at"][at].as_f64().unwrap(), "{position}");
        let control = &numbers["control"];
        let share = control["at_least"][at].as_f64().unwrap() / control["judged"].as_f64().unwrap();
        let accepts = share * source["judged"].as_f64().unwrap();
        assert!((shown(&moved["accepts"]) - accepts).abs() <= 0.5, "{position}");
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let kept = source["kept_at"][at].as_f64().unwrap() / source["judged"].as_f64().unwrap();
        assert_eq!((&moved["share"], &moved["control"]), (&json!(percent(kept)), &json!(percent(share))));
        let truth = &source["truth"];
        let rate = |part: &Value, whole: &Value| match whole.as_u64().unwrap() {
            0 => "–".to_owned(),
            whole => format!("{:.1} %", 100.0 * (part.as_f64().unwrap() / whole as f64)),
        };
        let kept_true = &truth["kept_true_at"][at];
        assert_eq!(moved["precision"], rate(kept_true, &truth["kept_at"][at]), "{position}");
        assert_eq!(moved["recall"], rate(kept_true, &truth["are_true"]), "{position}");
        assert!(moved["recut"].as_str().unwrap().contains(&format!("caption={position}")), "{moved}");
        assert_eq!(moved["nearest"], 12);
    }
    assert_eq!(used["byKey"], "0.99");
    let codes = used["codes"].as_array().unwrap();
    assert!(codes[0].as_str().unwrap().starts_with("source = 'caption' and itm >= "), "{codes:?}");
    assert!(codes[1].as_str().unwrap().starts_with("capfilt recut --job "), "{codes:?}");
    assert_eq!((&used["card"], &used["closed"]), (&json!(1), &json!(true)));
    assert!(used["shown"].as_u64() > Some(0));
    let plain = &found["plain"];
    assert_eq!(shown(&plain["kept"]), source["kept"].as_f64().unwrap());
    assert!(plain["pictures"].as_u64() > Some(50) && plain["positions"] == positions.len());
    assert_eq!(plain["slider"], false);
}

#[test]
fn hostile_texts_run_nothing_in_a_browser() {
    if !need(&tools::BROWSER) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("hostile.parquet");
    expect(python("tests/report_hostile.py").arg(&input), 0);
    let job = Job::over(&input.display().to_string());
    // Exit code 1: two rows, whose images are markup, are in quarantine.
    expect(&mut job.command("run"), 1);
    let page = folder.path().join("report.html");
    expect(report(Path::new(&job.url)).arg("-o").arg(&page), 0);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "the texts are on the page");
    assert_quiet(&opened(&page));
}
