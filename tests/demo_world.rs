//! The promise of `capfilt demo`: pairs that any reader reads, words that both tokenizers split equally, and
//! numbers about a job's truth that equal a count by hand.

use crate::support::{
    Job, capfilt, expect, python, repo, stderr, stdout,
    tables::{Tables, captions, input_text, json_of},
};
use capfilt_blip::{config::TextConfig, tokens::BertTokens};
use capfilt_demo_data::{
    parse::{Verdict, truth},
    scene::Scene,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn demo(arguments: &[&str]) -> Command {
    let mut command = capfilt();
    command.arg("demo").args(arguments);
    command
}

fn made(folder: &Path, arguments: &[&str]) -> String {
    let folder = folder.to_str().unwrap();
    stdout(&expect(demo(&["--make-data", folder]).args(arguments), 0))
}

fn rows(folder: &Path) -> Value {
    json_of(python("tests/demo_world.py").arg("rows").arg(folder))
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap()
}

#[test]
fn pyarrow_and_pillow_read_web_pairs_whose_texts_are_what_they_are_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let said = made(folder.path(), &["--scenes", "200", "--seed", "7", "--side", "64"]);
    assert!(said.ends_with(": 80 true, 50 swapped, 40 unrelated, 30 junk\n"), "{said}");
    let read = rows(folder.path());
    let (string, number) = ("string", "int32");
    let types = json!({
        "key": string, "jpg": "binary", "caption": string, "url": string, "width": number, "height": number,
        "status": string, "truth": string, "scene": string,
    });
    assert_eq!(read["types"], types);
    let picture = json!({"format": "JPEG", "mode": "RGB", "size": [64, 64], "sampling": [[1, 1]]});
    let mut kinds = BTreeMap::<&str, u32>::new();
    for row in read["rows"].as_array().unwrap() {
        assert_eq!((&row["jpg"], &row["status"]), (&picture, &json!("success")));
        assert_eq!((&row["width"], &row["height"]), (&json!(64), &json!(64)));
        *kinds.entry(text(row, "truth")).or_default() += 1;
        let verdict = truth(text(row, "caption"), &Scene::parse(text(row, "scene")).unwrap());
        let expected = match text(row, "truth") {
            "true" => Verdict::True,
            "junk" => Verdict::Unparsable,
            _ => Verdict::False,
        };
        assert_eq!(verdict, expected, "{row}");
    }
    assert_eq!(kinds, [("true", 80), ("swapped", 50), ("unrelated", 40), ("junk", 30)].into());
}

#[test]
fn texts_of_one_picture_share_its_address_and_human_texts_are_all_true() {
    let folder = tempfile::tempdir().unwrap();
    made(folder.path(), &["--kind", "human", "--scenes", "30", "--captions-per-scene", "3"]);
    let read = rows(folder.path());
    let rows = read["rows"].as_array().unwrap();
    let distinct = |column: &str| rows.iter().map(|row| text(row, column)).collect::<BTreeSet<_>>().len();
    assert_eq!((rows.len(), distinct("key"), distinct("url"), distinct("truth")), (90, 90, 30, 1));
    let scene = |row: &Value| Scene::parse(text(row, "scene")).unwrap();
    assert!(rows.iter().all(|row| truth(text(row, "caption"), &scene(row)) == Verdict::True));
}

#[test]
fn equal_seeds_make_equal_files_and_other_seeds_others() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str, arguments: &[&str]| {
        let folder = folder.path().join(name);
        made(&folder, &[&["--scenes", "50"], arguments].concat());
        fs::read(folder.join("web-00000.parquet")).unwrap()
    };
    let first = bytes("a", &["--seed", "3"]);
    assert!(first == bytes("b", &["--seed", "3"]), "equal seeds, other bytes");
    assert!(first == bytes("b", &["--seed", "3"]), "made again in the same place");
    assert!(first != bytes("c", &["--seed", "4"]), "other seeds, equal bytes");
}

#[test]
fn transformers_and_capfilt_take_every_kind_of_text_to_the_same_ids_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let [web, words] = ["web", "words"].map(|name| folder.path().join(name));
    made(&web, &["--scenes", "400", "--side", "16"]);
    expect(&mut demo(&["--make-vocabulary", words.to_str().unwrap()]), 0);
    let read = rows(&web);
    let mut texts: Vec<&str> =
        read["rows"].as_array().unwrap().iter().map(|row| text(row, "caption")).collect();
    texts.extend([
        "A PICTURE OF",
        "a photo of",
        "[SEP] [ENC]",
        "naïve CAFÉ 馬 x",
        "",
        "don't - stop?!",
        "100%_~`^",
    ]);
    let list = folder.path().join("texts.json");
    fs::write(&list, serde_json::to_string(&texts).unwrap()).unwrap();
    let theirs = json_of(python("tests/demo_world.py").arg("tokens").args([&words, &list]));

    let ids = capfilt_demo_data::vocabulary::model_size() as i64;
    assert_eq!(
        BertTokens::vocabulary_size(&words).unwrap(),
        ids,
        "training counts the ids of a model in its own way"
    );
    let config = TextConfig { vocab_size: ids, bos_token_id: ids - 2, ..TextConfig::default() };
    let bare = folder.path().join("bare");
    fs::create_dir(&bare).unwrap();
    fs::copy(words.join("vocab.txt"), bare.join("vocab.txt")).unwrap();
    for (folder, name) in [(&words, "auto"), (&bare, "vocabulary")] {
        let tokens = BertTokens::open(folder, &config).unwrap();
        let theirs = &theirs[name];
        assert_eq!(
            (&theirs["special"], &theirs["size"]),
            (&json!([0, 1, 2, 3, 4]), &json!(ids - 2)),
            "{name}"
        );
        assert_eq!((tokens.dec(), tokens.enc()), (ids - 2, ids - 1));
        for (i, text) in texts.iter().enumerate() {
            let encoded = tokens.encode(text, 512).unwrap();
            assert_eq!(json!(encoded), theirs["ids"][i], "{name}: {text:?}");
            assert_eq!(json!(tokens.decode(&encoded)), theirs["texts"][i], "{name}: {text:?}");
            let is_ours = i < texts.len() - 7;
            assert!(!(is_ours && encoded.contains(&1)), "{name}: {text:?} has an unknown piece");
        }
    }
}

/// A job over web pairs of this world, with the tests' models at low thresholds.
fn cleaned(folder: &Path) -> (Job, PathBuf) {
    let web = folder.join("web");
    made(&web, &["--scenes", "80", "--seed", "21", "--side", "64"]);
    let thresholds = ["filter.web_threshold=0.0002", "filter.synthetic_threshold=0.1", "shards.rows=80"];
    let job = Job::over(web.to_str().unwrap()).set(&thresholds);
    job.run();
    (job, web)
}

/// A ledger beside the truth of its rows, for counts by hand.
struct Counted<'a> {
    ledger: Vec<Value>,
    known: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Counted<'a> {
    fn new(job: &Job, read: &'a Value) -> Self {
        let rows = read["rows"].as_array().unwrap().iter();
        Self { ledger: Tables::of(job).ledger, known: rows.map(|row| (text(row, "key"), row)).collect() }
    }

    /// Kind of a row's web text: `true`, `swapped`, `unrelated` or `junk`.
    fn kind(&self, row: &Value) -> &'a str {
        text(self.known[text(row, "key")], "truth")
    }

    /// Rows whose web text is kept; of one kind, if named.
    fn kept(&self, kind: Option<&str>) -> usize {
        let kept = self.ledger.iter().filter(|row| input_text(row)["kept"] == true);
        kept.filter(|row| kind.is_none_or(|kind| self.kind(row) == kind)).count()
    }

    /// Match probabilities of the web texts of one kind.
    fn scores(&self, kind: &str) -> Vec<f64> {
        let rows = self.ledger.iter().filter(|row| self.kind(row) == kind);
        rows.map(|row| input_text(row)["itm"].as_f64().unwrap()).collect()
    }

    /// Share of pairs of a true and another text in which the true text has the higher score, in 1/10,000.
    fn area(&self, kind: &str) -> f64 {
        let (higher, lower) = (self.scores("true"), self.scores(kind));
        let win = |a: f64, b: f64| if a == b { 0.5 } else { f64::from(u8::from(a > b)) };
        let wins: f64 = higher.iter().flat_map(|a| lower.iter().map(move |b| win(*a, *b))).sum();
        (wins / (higher.len() * lower.len()) as f64 * 1e4).round() / 1e4
    }

    /// Whether each caption is kept, and whether it is true.
    fn captions(&self) -> Vec<(bool, Verdict)> {
        let scene = |row: &Value| Scene::parse(text(self.known[text(row, "key")], "scene")).unwrap();
        let all = self.ledger.iter().flat_map(|row| captions(row).into_iter().map(move |one| (row, one)));
        all.map(|(row, one)| (one["kept"] == true, truth(text(one, "text"), &scene(row)))).collect()
    }
}

fn percent(part: usize, whole: usize) -> Value {
    match whole {
        0 => Value::Null,
        _ => json!((1000.0 * part as f64 / whole as f64).round() / 10.0),
    }
}

#[test]
fn the_truth_of_a_job_is_what_a_hand_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (job, web) = cleaned(folder.path());
    let shown = json_of(demo(&["--truth", &job.url, "--json", "--input"]).arg(&web));
    let read = rows(&web);
    let counted = Counted::new(&job, &read);
    assert_eq!(counted.ledger.len(), 80);
    let (kept, kept_true) = (counted.kept(None), counted.kept(Some("true")));
    assert!(kept > 0 && kept < 80, "{kept} kept: the thresholds say little");
    assert_eq!(shown["statuses"], json!({"judged": 80}));
    assert_eq!([&shown["rows"], &shown["input_rows"]], [&json!(80), &json!(80)]);
    assert_eq!([&shown["missing_keys"], &shown["doubled_keys"]], [&json!(0), &json!(0)]);
    assert_eq!([&shown["web_true_raw"], &shown["web_kept"]], [&json!(40.0), &percent(kept, 80)]);
    assert_eq!(
        [&shown["web_kept_true"], &shown["web_true_kept"]],
        [&percent(kept_true, kept), &percent(kept_true, 32)]
    );
    for (name, texts) in [("true", 32), ("swapped", 20), ("unrelated", 16), ("junk", 12)] {
        assert_eq!(shown["kept_by_kind"][name], percent(counted.kept(Some(name)), texts), "{name}");
    }
    for name in ["swapped", "unrelated"] {
        assert_eq!(shown[format!("auc_{name}")], json!(counted.area(name)), "{name}");
    }
    let captions = counted.captions();
    let of = |is: &dyn Fn(&(bool, Verdict)) -> bool| captions.iter().filter(|caption| is(caption)).count();
    let (all, kept) = (captions.len(), of(&|caption| caption.0));
    assert_eq!(shown["synthetic_true_raw"], percent(of(&|caption| caption.1 == Verdict::True), all));
    assert_eq!(shown["synthetic_unparsable"], percent(of(&|caption| caption.1 == Verdict::Unparsable), all));
    assert_eq!(shown["synthetic_kept"], percent(kept, all));
    assert_eq!(shown["synthetic_kept_true"], percent(of(&|caption| *caption == (true, Verdict::True)), kept));
    let page = stdout(&expect(demo(&["--truth", &job.url, "--input"]).arg(&web), 0));
    assert!(page.starts_with("80 rows of 80: 0 missing, 0 doubled\n"), "{page}");
    assert!(page.contains("web texts that are true, as they came     40.0 %\n"), "{page}");
    rows_of_other_files_are_missing_or_refused(&job, folder.path());
}

/// Rows that the job never saw are missing; rows that no file knows are an error, not a share.
fn rows_of_other_files_are_missing_or_refused(job: &Job, folder: &Path) {
    let more = folder.join("more");
    made(&more, &["--scenes", "100", "--seed", "21", "--side", "64"]);
    let shown = json_of(demo(&["--truth", &job.url, "--json", "--input"]).arg(&more));
    assert_eq!(
        [&shown["rows"], &shown["input_rows"], &shown["missing_keys"]],
        [&json!(80), &json!(100), &json!(20)]
    );
    let few = folder.join("few");
    made(&few, &["--scenes", "10", "--seed", "21", "--side", "64"]);
    let refused =
        stderr(&expect(demo(&["--truth", &job.url, "--input"]).arg(few.join("web-00000.parquet")), 2));
    assert!(refused.contains("name all files that the job read"), "{refused}");
}

#[test]
fn wrong_arguments_and_foreign_files_are_usage_errors_and_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new").display().to_string();
    let foreign = repo().join("demo/demo.toml").display().to_string();
    let data = ["--make-data", &to];
    for arguments in [
        vec![&to, "--seed", "1"],
        vec![&to, "--json"],
        [&data[..], &[&to]].concat(),
        [&data[..], &["--side", "8"]].concat(),
        [&data[..], &["--scenes", "0"]].concat(),
        [&data[..], &["--captions-per-scene", "101"]].concat(),
        [&data[..], &["--json"]].concat(),
        [&data[..], &["--make-vocabulary", &to]].concat(),
        vec!["--make-vocabulary", &to, "--seed", "1"],
        vec!["--make-vocabulary", &to, "--input", &foreign],
        vec!["--truth", &to, "--input", &foreign, "--kind", "human"],
        vec!["--truth", &to],
        vec!["--truth", &to, "--input", &foreign],
        vec!["--truth", &to, "--input", "no-such.parquet"],
    ] {
        let said = stderr(&expect(&mut demo(&arguments), 2));
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert!(!Path::new(&to).exists(), "{arguments:?} wrote something");
    }
}

#[test]
fn a_sheet_shows_the_first_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let sheet = folder.path().join("sheet.png");
    made(
        &folder.path().join("web"),
        &["--scenes", "30", "--side", "32", "--contact-sheet", sheet.to_str().unwrap()],
    );
    let sheet = image::open(sheet).unwrap().to_rgb8();
    assert_eq!(sheet.dimensions(), (8 * 36 - 4, 3 * 36 - 4));
    let colours: BTreeSet<[u8; 3]> = sheet.pixels().map(|pixel| pixel.0).collect();
    assert!(colours.len() > 1000, "{} colours", colours.len());
}
