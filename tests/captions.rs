//! Which images get captions, and which captions are kept: filter only, rescue, the best of several.

use crate::support::{
    Job, expect, python, stdout,
    tables::{Tables, json_of},
};
use serde_json::Value;

/// How far a score may move when other texts share its batch.
const SCORE_TOLERANCE: f64 = 1e-5;

/// A job over 800 rows whose settings name no captioner.
pub fn filter_only() -> Job {
    let job = Job::over_one_file();
    let text = std::fs::read_to_string(job.config()).unwrap();
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("captioner = ")).collect();
    assert_eq!(kept.len() + 1, text.lines().count());
    std::fs::write(job.config(), kept.join("\n")).unwrap();
    job
}

/// The ledger of a job that has run and verifies.
pub fn ledger_of(job: &Job) -> Vec<Value> {
    job.run();
    job.verify(0);
    Tables::of(job).ledger
}

fn texts(row: &Value) -> &Vec<Value> {
    row["texts"].as_array().unwrap()
}

/// Texts of the input.
fn inputs(row: &Value) -> Vec<&Value> {
    texts(row).iter().filter(|text| text["source"] != "synthetic").collect()
}

pub fn captions(row: &Value) -> Vec<&Value> {
    texts(row).iter().filter(|text| text["source"] == "synthetic").collect()
}

/// Asserts that the texts of the input have equal verdicts and scores in both ledgers.
fn assert_inputs_judged_alike(a: &[Value], b: &[Value]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((&a["key"], &a["status"], &a["image_hash"]), (&b["key"], &b["status"], &b["image_hash"]));
        for (a, b) in inputs(a).into_iter().zip(inputs(b)) {
            for field in ["source", "text", "status", "kept", "language", "repetition"] {
                assert_eq!(a[field], b[field], "{a} {b}");
            }
            for score in ["itm", "itc"] {
                let is_near = match (a[score].as_f64(), b[score].as_f64()) {
                    (Some(a), Some(b)) => (a - b).abs() <= SCORE_TOLERANCE,
                    (a, b) => a == b,
                };
                assert!(is_near, "{score}: {a} {b}");
            }
        }
    }
}

#[test]
fn a_job_without_a_captioner_judges_its_texts_as_one_with_a_captioner_and_opens_no_captioner() {
    let job = filter_only();
    // The whole folder of models that the job can reach has no captioner.
    let models = job.folder.path().join("models/filter");
    std::fs::create_dir_all(&models).unwrap();
    for file in std::fs::read_dir(crate::support::repo().join("tests/data/models/filter")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), models.join(file.file_name())).unwrap();
    }
    let job = job.set(&[&format!("models.filter={}", models.display())]);
    let checked = stdout(&expect(&mut job.command("check"), 0));
    assert!(checked.contains("no captioner"), "{checked}");
    let alone = ledger_of(&job);
    let with_captions = ledger_of(&Job::over_one_file());
    assert_inputs_judged_alike(&alone, &with_captions);
    assert!(alone.iter().all(|row| captions(row).is_empty()));
    let record: Value =
        serde_json::from_slice(&std::fs::read(job.objects.join("job.json")).unwrap()).unwrap();
    assert!(record["settings"]["models"].get("captioner").is_none(), "{record}");
    let known: Value =
        serde_json::from_slice(&std::fs::read(job.objects.join("known-answers.json")).unwrap()).unwrap();
    assert!(
        known["captions"].as_array().unwrap().is_empty() && !known["scores"].as_array().unwrap().is_empty()
    );
    assert_eq!(job.run().status.code(), Some(0), "a second run finds the job done");
}

#[test]
fn a_job_with_a_captioner_is_not_resumed_without_one() {
    let job = Job::over_one_file().set(&["shards.rows=400"]);
    job.run();
    let mut other = filter_only();
    other.overrides = vec!["shards.rows=400".to_owned(), format!("job.url={}", job.url)];
    let refused = expect(&mut other.command("run"), 2);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("models.captioner"), "{said}");
}

#[test]
fn rescue_writes_captions_only_where_no_text_is_kept_and_changes_no_verdict() {
    let always = ledger_of(&Job::over_one_file());
    let rescued = ledger_of(&Job::over_one_file().set(&["captioner.when=no_text_kept"]));
    assert_inputs_judged_alike(&always, &rescued);
    let (mut judged, mut without) = (0, 0);
    for (row, all) in rescued.iter().zip(&always).filter(|(row, _)| row["status"] == "judged") {
        judged += 1;
        let keeps_own = inputs(row).iter().any(|text| text["kept"] == true);
        assert_eq!(captions(row).is_empty(), keeps_own, "{row}");
        without += usize::from(keeps_own);
        for (caption, of_all) in captions(row).iter().zip(captions(all)) {
            assert_eq!((&caption["text"], &caption["kept"]), (&of_all["text"], &of_all["kept"]));
        }
    }
    println!("{without} of {judged} images needed no caption");
    assert!(without * 10 > judged * 3, "the demo keeps about 40 % of its texts: {without} of {judged}");
}

#[test]
fn of_several_captions_the_best_are_kept_and_all_are_in_the_ledger() {
    let ledger = ledger_of(&Job::over_one_file().set(&["captioner.captions=4", "captioner.keep=1"]));
    let mut spared = 0;
    for row in ledger.iter().filter(|row| row["status"] == "judged") {
        let captions = captions(row);
        assert_eq!(captions.len(), 4);
        let itm = |text: &Value| text["itm"].as_f64().unwrap_or(-1.0);
        let best = captions.iter().map(|text| itm(text)).fold(-1.0, f64::max);
        let kept: Vec<f64> =
            captions.iter().filter(|text| text["kept"] == true).map(|text| itm(text)).collect();
        assert_eq!(kept, if best >= 0.5 { vec![best] } else { vec![] }, "{row}");
        spared += captions.iter().filter(|text| itm(text) >= 0.5).count().saturating_sub(1);
    }
    assert!(spared > 0, "no image had two good captions");
}

#[test]
fn texts_of_another_language_and_captions_that_repeat_themselves_are_not_judged() {
    let plain = ledger_of(&Job::over_one_file());
    let strict =
        ledger_of(&Job::over_one_file().set(&["filter.languages=[\"fi\"]", "captioner.max_repetition=0.05"]));
    let (mut foreign, mut repetitive) = (0, 0);
    for (plain, strict) in plain.iter().zip(&strict).filter(|(row, _)| row["status"] == "judged") {
        for (plain, strict) in texts(plain).iter().zip(texts(strict)) {
            assert_eq!((&plain["text"], &plain["language"]), (&strict["text"], &strict["language"]));
            let is_foreign = plain["language"].as_str().is_some_and(|code| code != "fi");
            let repeats = plain["source"] == "synthetic" && plain["repetition"].as_f64() > Some(0.05);
            let expected = match (plain["status"].as_str().unwrap(), is_foreign, repeats) {
                ("judged", true, _) => "wrong_language",
                ("judged", _, true) => "repetitive",
                (status, ..) => status,
            };
            assert_eq!(strict["status"], expected, "{plain}");
            assert_eq!(strict["itm"].is_null(), expected != "judged", "{strict}");
            foreign += usize::from(expected == "wrong_language");
            repetitive += usize::from(expected == "repetitive");
        }
    }
    println!("{foreign} texts of another language, {repetitive} captions that repeat themselves");
    assert!(foreign > 0);
}

/// `tests/image_hashes.py` computes dHash with Pillow from the stored image; ours is of the filter's pixels.
/// Areas of nearly equal grey may be in another order.
#[test]
fn an_image_hash_has_pillow_s_bits_where_areas_differ_and_is_equal_for_equal_images() {
    let job = filter_only();
    job.run();
    let input = crate::support::repo().join("tests/data/web/web-00000.parquet");
    let found = json_of(python("tests/image_hashes.py").arg(&job.objects).arg(input));
    println!("{found}");
    assert!(found["images"].as_u64() > Some(300), "{found}");
    assert_eq!(found["unequal_duplicates"], 0, "{found}");
    assert!(found["clear_bits"].as_u64() > Some(5000), "{found}");
    assert_eq!(found["other_bits"], 0, "{found}");
    assert!(found["mean_bits_of_others"].as_f64() > Some(8.0), "{found}");
}

#[test]
fn embeddings_are_unit_vectors_whose_product_is_the_cosine() {
    let job = Job::over_one_file().set(&["output.embeddings=true"]);
    job.run();
    job.verify(0);
    let found = json_of(python("tests/embeddings.py").arg(&job.objects));
    println!("{found}");
    assert!(found["texts"].as_u64() > Some(800), "{found}");
    assert_eq!(found["type"], "fixed_size_list<item: halffloat not null>[64]", "{found}");
    assert!(found["most_off_length"].as_f64() < Some(2e-3), "{found}");
    assert!(found["most_off_cosine"].as_f64() < Some(2e-3), "{found}");
    assert_eq!(found["unjudged_with_a_vector"], 0, "{found}");
    let plain = ledger_of(&Job::over_one_file());
    assert!(plain[0].get("image_embedding").is_none() && texts(&plain[0])[0].get("embedding").is_none());
}
