//! Answers to questions about images, and their accuracy, as the program reports them.

use crate::support::{capfilt, expect, repo, stderr, stdout};
use capfilt_blip::tensor_file::TensorFile;
use capfilt_evaluate::{normalised, vqa_accuracy};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Results of transformers for a tiny random model: `pipeline/blip/tests/golden/README.md`.
fn golden(name: &str) -> PathBuf {
    repo().join("pipeline/blip/tests/golden/answers").join(name)
}

fn answerer(words: &[&str], part: &str) -> Command {
    let mut command = capfilt();
    command.args(words).args(["--device", "cpu", "--precision", "f32", "--model"]).arg(golden(part));
    command
}

fn json_of(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(&expect(command.arg("--json"), 0))).unwrap()
}

/// The `i`-th picture of the golden case as a PNG file.
fn picture(i: i64, folder: &Path) -> PathBuf {
    let pixels = TensorFile::open(&golden("expected.safetensors")).unwrap().read("pixels_u8").unwrap();
    let side = pixels.size()[1] as u32;
    let bytes: Vec<u8> = Vec::try_from(pixels.get(i).contiguous().view([-1])).unwrap();
    let path = folder.join(format!("{i}.png"));
    image::save_buffer(&path, &bytes, side, side, image::ColorType::Rgb8).unwrap();
    path
}

fn texts(facts: &Value, key: &str) -> Vec<String> {
    let all = facts[key].as_array().unwrap().iter();
    all.map(|text| text.as_str().unwrap_or_else(|| text["text"].as_str().unwrap()).to_owned()).collect()
}

#[test]
fn answers_and_rankings_are_those_of_transformers_in_every_layout() {
    let folder = tempfile::tempdir().unwrap();
    let facts: Value = serde_json::from_slice(&fs::read(golden("expected.json")).unwrap()).unwrap();
    let (questions, answers) = (texts(&facts, "questions"), texts(&facts, "answers"));
    let (lines, list) = (folder.path().join("answers.txt"), folder.path().join("answers.json"));
    fs::write(&lines, answers.join("\n") + "\n\n").unwrap();
    fs::write(&list, json!(answers).to_string()).unwrap();
    let k = facts["k"].to_string();
    for (part, file) in [("answerer", &lines), ("answerer-bin", &list), ("answerer-original", &lines)] {
        let image = picture(1, folder.path());
        let asked = |more: &[&str]| {
            let mut command = answerer(&["answer"], part);
            command.arg("--image").arg(&image).args(more);
            questions.iter().for_each(|text| _ = command.args(["--question", text]));
            command
        };
        let generated = json_of(&mut asked(&[]));
        let ranked = json_of(asked(&["--top-k", &k]).arg("--answer-list").arg(file));
        for (q, question) in questions.iter().enumerate() {
            let of = |record: &&Value| {
                record["image"] == 1 && record["question"] == q && record["preset"] == "original"
            };
            let record = facts["records"].as_array().unwrap().iter().find(of).unwrap();
            assert_eq!(generated["answers"][q], json!({"question": question, "answer": record["text"]}));
            let order: Vec<&String> = record["ranked"]
                .as_array()
                .unwrap()
                .iter()
                .map(|i| &answers[i.as_u64().unwrap() as usize])
                .collect();
            let found = ranked["answers"][q]["ranked"].as_array().unwrap();
            assert_eq!(
                found.iter().map(|one| &one["answer"]).collect::<Vec<_>>(),
                order,
                "{part} {question}"
            );
            assert_eq!(ranked["answers"][q]["answer"], json!(order[0]));
            for (one, score) in found.iter().zip(record["scores"].as_array().unwrap()) {
                let error = one["score"].as_f64().unwrap() - score.as_f64().unwrap();
                assert!(error.abs() <= 1e-4, "{part} {question}: {error}");
            }
        }
        let page = stdout(&expect(&mut asked(&[]), 0));
        assert_eq!(page.lines().count(), questions.len(), "{page}");
    }
}

#[test]
fn accuracy_is_that_of_the_written_answers_and_batches_change_none() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("questions");
    let made = ["--kind", "questions", "--scenes", "30", "--captions-per-scene", "2", "--side", "64"];
    expect(capfilt().args(["demo", "--make-data"]).arg(&data).args(made), 0);
    let list = folder.path().join("answers.txt");
    fs::write(&list, "yes\nno\nred\ntwo\na cat\n").unwrap();
    let evaluated = |name: &str, more: &[&str]| {
        let lines = folder.path().join(name);
        let mut command = answerer(&["eval", "vqa"], "answerer");
        command.arg("--input").arg(&data).arg("--answer-list").arg(&list).arg("--predictions").arg(&lines);
        (json_of(command.args(more)), fs::read_to_string(lines).unwrap())
    };
    let (found, lines) = evaluated("all.jsonl", &["--batch", "32"]);
    let (again, one_by_one) = evaluated("each.jsonl", &["--batch", "1"]);
    assert_eq!((&lines, &found), (&one_by_one, &again));
    assert_eq!(
        [&found["questions"], &found["skipped"], &found["vqa_accuracy"]],
        [&json!(60), &json!(0), &Value::Null]
    );
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let right = |line: &&Value| {
        let [answer, person] = [&line["answer"], &line["answers"][0]].map(|text| text.as_str().unwrap());
        normalised(answer) == normalised(person)
    };
    let share = lines.iter().filter(right).count() as f64 / 60.0;
    assert!((found["accuracy"].as_f64().unwrap() - share).abs() < 1e-12, "{found} {share}");
    let (few, _) = evaluated("few.jsonl", &["--questions", "7"]);
    assert_eq!(few["questions"], 7);
}

#[test]
fn ten_answers_give_the_accuracy_of_the_challenge() {
    let folder = tempfile::tempdir().unwrap();
    let image = fs::read(picture(0, folder.path())).unwrap();
    let (input, lines) = (folder.path().join("vqa.parquet"), folder.path().join("answers.jsonl"));
    let rows = [
        ("is the dog running on the beach?", vec!["yes"; 10]),
        ("red?", ["no", "no", "no", "No.", "yes", "yes", "maybe", "a no", "nope", "2"].to_vec()),
    ];
    write_rows(&input, &image, &rows);
    let list = folder.path().join("answers.txt");
    fs::write(&list, "no\n").unwrap();
    let mut command = answerer(&["eval", "vqa"], "answerer");
    command.arg("--input").arg(&input).arg("--answer-list").arg(&list).arg("--predictions").arg(&lines);
    let found = json_of(&mut command);
    let expected: Vec<f64> = rows
        .iter()
        .map(|(_, people)| {
            vqa_accuracy("no", &people.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        })
        .collect();
    assert_eq!(expected[0], 0.0);
    assert_eq!(expected[1], (3.0 * 2.0 / 3.0 + 7.0) / 10.0, "three people agree");
    let mean = found["vqa_accuracy"].as_f64().unwrap();
    assert!((mean - (expected[0] + expected[1]) / 2.0).abs() < 1e-12, "{found}");
    assert_eq!(found["accuracy"], Value::Null);
    let page = stdout(&expect(
        answerer(&["eval", "vqa"], "answerer").arg("--input").arg(&input).arg("--answer-list").arg(&list),
        0,
    ));
    assert!(page.starts_with(&format!("VQA accuracy  {:6.2}", 100.0 * mean)), "{page}");
}

fn write_rows(path: &Path, image: &[u8], rows: &[(&str, Vec<&str>)]) {
    use arrow::array::{ArrayRef, BinaryArray, ListBuilder, RecordBatch, StringArray, StringBuilder};
    use std::sync::Arc;
    let mut answers = ListBuilder::new(StringBuilder::new());
    rows.iter().for_each(|(_, people)| answers.append_value(people.iter().map(Some)));
    let columns: [(&str, ArrayRef); 4] = [
        ("key", Arc::new(StringArray::from_iter_values((0..rows.len()).map(|i| i.to_string())))),
        ("jpg", Arc::new(BinaryArray::from_iter_values(rows.iter().map(|_| image)))),
        ("question", Arc::new(StringArray::from_iter_values(rows.iter().map(|(question, _)| question)))),
        ("answers", Arc::new(answers.finish())),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

#[test]
fn wrong_lists_columns_and_checkpoints_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let image = picture(0, folder.path());
    let refused = |command: &mut Command, code: i32| stderr(&expect(command, code));
    let asked = |part: &str| {
        let mut command = answerer(&["answer", "--question", "red?"], part);
        command.arg("--image").arg(&image);
        command
    };
    let (empty, broken) = (folder.path().join("empty.txt"), folder.path().join("broken.json"));
    fs::write(&empty, "\n \n").unwrap();
    fs::write(&broken, "[\"yes\", 2]").unwrap();
    let error = refused(asked("answerer").arg("--answer-list").arg(&empty), 2);
    assert!(error.contains("empty.txt") && error.contains("it has no answer"), "{error}");
    let error = refused(asked("answerer").arg("--answer-list").arg(&broken), 2);
    assert!(error.contains("broken.json") && error.contains("expected a string"), "{error}");
    let error = refused(asked("answerer").args(["--max-length", "99"]), 3);
    assert!(error.contains("max_length"), "{error}");
    let error = refused(&mut asked("../patch16/captioner"), 3);
    assert!(error.contains("is this a captioner checkpoint?"), "{error}");
    let web = repo().join("tests/data/web/web-00000.parquet");
    let mut evaluated = answerer(&["eval", "vqa", "--question", "caption"], "answerer");
    let error = refused(evaluated.arg("--input").arg(&web), 2);
    assert!(error.contains("are --image, --question and --answers its columns?"), "{error}");
}
