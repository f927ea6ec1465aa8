//! Answers equal those of transformers, and rankings those of a step-by-step reference.

use std::path::Path;

use crate::support::{TOLERANCE, assert_close, expected, facts, folder, ids, one_of, options, pictures};
use capfilt_blip::{
    AnswerList, BlipAnswerer, GenerationOptions, LoadError, LoadOptions, Options, Question, text::TextCache,
};
use capfilt_pipeline::model::PixelBatch;
use capfilt_schemas::settings::{Method, Precision, Preset};
use serde_json::Value;
use tch::{Kind, Tensor};

/// Case and folder: each layout of one model, and the original layout of a model with a wider image encoder.
const LAYOUTS: [(&str, &str); 4] = [
    ("answers", "answerer"),
    ("answers", "answerer-bin"),
    ("answers", "answerer-original"),
    ("answers-wide", "answerer-original"),
];

fn load(path: &Path, options: &LoadOptions) -> Result<BlipAnswerer, LoadError> {
    BlipAnswerer::load(path, options, options.options.answering())
}

fn answerer(case: &str, part: &str, preset: Preset) -> BlipAnswerer {
    load(&folder(case, part), &options(preset)).unwrap()
}

fn texts(case: &str) -> Vec<String> {
    let all = facts(case)["questions"].as_array().unwrap().clone();
    all.iter().map(|text| text.as_str().unwrap().to_string()).collect()
}

fn list(answerer: &BlipAnswerer, case: &str) -> AnswerList {
    let texts = facts(case)["answers"].as_array().unwrap().clone();
    answerer.answer_list(texts.iter().map(|a| a["text"].as_str().unwrap().to_string()).collect()).unwrap()
}

/// Recorded results under a preset.
fn records(case: &str, preset: Preset) -> Vec<Value> {
    let all = facts(case)["records"].as_array().unwrap().clone();
    all.into_iter().filter(|record| record["preset"] == preset.name()).collect()
}

/// Image and question of a record.
fn asked(record: &Value) -> (usize, usize) {
    (record["image"].as_u64().unwrap() as usize, record["question"].as_u64().unwrap() as usize)
}

/// The questions of all records as one batch.
fn batch<'a>(records: &[Value], texts: &'a [String]) -> Vec<Question<'a>> {
    let asked = records.iter().map(asked);
    asked.map(|(image, question)| Question { image, text: &texts[question] }).collect()
}

#[test]
fn question_states_and_first_tokens_match_transformers() {
    for (case, part) in LAYOUTS {
        for preset in [Preset::Hf, Preset::Original] {
            let answerer = answerer(case, part, preset);
            let (images, texts) = (pictures(case), texts(case));
            let image_states = answerer.images().states(&images).unwrap();
            let first: Vec<i64> = list(&answerer, case).ids.iter().map(|ids| ids[1]).collect();
            for record in records(case, preset) {
                let (image, question) = asked(&record);
                let questions = [Question { image, text: &texts[question] }];
                let batch = answerer.batch(&questions).unwrap();
                let states = answerer.question_states(&batch, &questions, &image_states).unwrap();
                let name = format!("{}.{image}.{question}", preset.name());
                assert_close(
                    &states.get(0),
                    &expected(case, &format!("states.{name}")),
                    TOLERANCE,
                    &format!("{case} {part} {name} states"),
                );
                let decoder = answerer.decoder();
                let keys = decoder.tower.masked_keys(&states, &batch.mask).unwrap();
                let start = decoder.tensor(&[vec![answerer.tokens().dec()]]).unwrap();
                let logits = decoder.next_word(&start, &mut TextCache::default(), &keys).unwrap();
                let found =
                    logits.softmax(-1, Kind::Float).get(0).index_select(0, &Tensor::from_slice(&first));
                assert_close(
                    &found,
                    &expected(case, &format!("first.{name}")),
                    TOLERANCE,
                    &format!("{case} {part} {name} first token"),
                );
            }
        }
    }
}

#[test]
fn generated_answers_match_transformers_and_padding_changes_none() {
    for (case, part) in LAYOUTS {
        for preset in [Preset::Hf, Preset::Original] {
            let answerer = answerer(case, part, preset);
            let (images, texts, records) = (pictures(case), texts(case), records(case, preset));
            // Questions of different lengths in one batch: shorter ones are padded.
            let answers = answerer.generate(&images, &batch(&records, &texts)).unwrap();
            assert_eq!(answers.len(), records.len());
            for (answer, record) in answers.iter().zip(&records) {
                assert_eq!(answer.ids, ids(&record["generated"]), "{case} {part} {record}");
                assert_eq!(answer.text, record["text"].as_str().unwrap(), "{case} {part} {record}");
                let (image, question) = asked(record);
                let alone = [Question { image: 0, text: &texts[question] }];
                let alone = answerer.generate(&one_of(&images, image), &alone).unwrap();
                assert_eq!(alone[0], *answer, "{case} {part} {record}: alone");
            }
        }
    }
}

#[test]
fn rankings_and_scores_are_those_of_a_step_by_step_reference() {
    for (case, part) in LAYOUTS {
        let k = facts(case)["k"].as_u64().unwrap() as usize;
        for preset in [Preset::Hf, Preset::Original] {
            let answerer = answerer(case, part, preset);
            let (images, texts, records) = (pictures(case), texts(case), records(case, preset));
            let answers = list(&answerer, case);
            for (found, expected) in answers.ids.iter().zip(facts(case)["answers"].as_array().unwrap()) {
                assert_eq!(*found, ids(&expected["ids"]), "{case} {expected}");
            }
            let ranked = answerer.rank(&images, &batch(&records, &texts), &answers, k).unwrap();
            for (ranked, record) in ranked.iter().zip(&records) {
                let order: Vec<i64> = ranked.iter().map(|one| one.answer as i64).collect();
                assert_eq!(order, ids(&record["ranked"]), "{case} {part} {record}");
                for (one, score) in ranked.iter().zip(record["scores"].as_array().unwrap()) {
                    let error = (f64::from(one.score) - score.as_f64().unwrap()).abs();
                    assert!(error <= TOLERANCE, "{case} {part} {record}: {one:?}");
                }
            }
        }
    }
}

/// The best answer has no smaller first-token probability than `k` others, or ranking would leave it out.
#[test]
fn a_larger_k_ranks_more_answers_and_keeps_the_scores_of_the_earlier_ones() {
    let (case, images) = ("answers", pictures("answers"));
    let answerer = answerer(case, "answerer", Preset::Original);
    let (texts, answers) = (texts(case), list(&answerer, case));
    let question = [Question { image: 1, text: &texts[0] }];
    let few = answerer.rank(&images, &question, &answers, 3).unwrap().remove(0);
    let all = answerer.rank(&images, &question, &answers, 128).unwrap().remove(0);
    assert_eq!((few.len(), all.len()), (3, answers.texts.len()), "k is at most the length of the list");
    assert!(all.windows(2).all(|pair| pair[0].score >= pair[1].score));
    for one in few {
        let again = all.iter().find(|other| other.answer == one.answer).unwrap();
        assert!((again.score - one.score).abs() <= 1e-4, "{one:?} {again:?}");
    }
}

#[test]
fn bf16_ranks_an_answer_with_a_clear_lead_first() {
    let case = "answers";
    let options = LoadOptions { precision: Precision::Bf16, ..options(Preset::Original) };
    let answerer = load(&folder(case, "answerer"), &options).unwrap();
    let (texts, records, answers) = (texts(case), records(case, Preset::Original), list(&answerer, case));
    let ranked = answerer.rank(&pictures(case), &batch(&records, &texts), &answers, 128).unwrap();
    let mut clear = 0;
    for (ranked, record) in ranked.iter().zip(&records) {
        let scores: Vec<f64> =
            record["scores"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        if scores[0] - scores[1] > 1.0 {
            assert_eq!(ranked[0].answer as i64, ids(&record["ranked"])[0], "{record} {ranked:?}");
            clear += 1;
        }
    }
    assert!(clear > 0, "the case has no clear lead");
}

#[test]
fn wrong_checkpoints_options_and_questions_are_refused_with_the_reason() {
    let options = options(Preset::Original);
    let error = |path: &Path| load(path, &options).err().unwrap().to_string();
    assert!(error(&folder("patch16", "captioner")).contains("is this a captioner checkpoint?"));
    assert!(error(&folder("patch16", "filter")).contains("is this a filter checkpoint?"));
    let nucleus = Options::of(Preset::Original).generation(Method::Nucleus);
    let path = folder("answers", "answerer");
    let refused = BlipAnswerer::load(&path, &options, nucleus).err().unwrap().to_string();
    assert!(refused.contains("beam search"), "{refused}");
    let long = GenerationOptions { max_length: 99, ..options.options.answering() };
    assert!(BlipAnswerer::load(&path, &options, long).err().unwrap().to_string().contains("max_length"));
    let answerer = load(&path, &options).unwrap();
    let images = pictures("answers");
    let (few, none) = (answerer.answer_list(vec!["no".into()]).unwrap(), answerer.answer_list(Vec::new()));
    assert!(none.is_err());
    let elsewhere = [Question { image: 3, text: "red?" }];
    assert!(answerer.generate(&images, &elsewhere).unwrap_err().to_string().contains("image 3 of 3"));
    assert!(answerer.rank(&images, &[Question { image: 0, text: "" }], &few, 0).is_err());
    assert!(answerer.generate(&PixelBatch::with_capacity(64, 0), &[]).unwrap().is_empty());
    let empty = answerer.answer_list(vec![String::new(), "yes".into()]).unwrap();
    let ranked = answerer.rank(&images, &[Question { image: 0, text: "" }], &empty, 128).unwrap();
    assert_eq!(ranked[0].len(), 2, "an empty answer is its end token");
}
