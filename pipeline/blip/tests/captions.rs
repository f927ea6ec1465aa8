//! Captions equal those of transformers and, for the original beam rule, those of a reference in Python.

use crate::support::{
    CASES, TOLERANCE, assert_close, captioner, expected, facts, ids, keys, one_of, pictures,
};
use capfilt_blip::{
    BeamLength, GenerationOptions, Options, generate::nucleus::distributions, text::TextCache,
};
use capfilt_pipeline::model::Captioner;
use capfilt_schemas::settings::{Method, Preset};
use serde_json::Value;
use tch::{Kind, Tensor};

fn preset(record: &Value) -> Preset {
    record["vision"].as_str().unwrap().parse().unwrap()
}

fn generation(record: &Value) -> GenerationOptions {
    let number = |name: &str| record[name].as_u64().unwrap() as usize;
    let method: Method = record["method"].as_str().unwrap().parse().unwrap();
    let mut options = Options::of(preset(record)).generation(method);
    options.prompt = if ids(&record["start"]).len() == 1 { String::new() } else { "a picture of ".into() };
    if method == Method::Beam {
        options.beams = number("beams");
    }
    options.min_length = number("min_length");
    options.max_length = number("max_length");
    options.repetition_penalty = record["repetition_penalty"].as_f64().unwrap_or(1.0);
    options.beam_length = if record["length_rule"] == "generated" {
        BeamLength::Generated
    } else {
        BeamLength::BeforeEndWithPrompt
    };
    options
}

/// Generates every recorded caption of one method, and compares ids and text.
fn check(method: &str) -> usize {
    let mut checked = 0;
    for case in CASES {
        let images = pictures(case);
        for record in
            facts(case)["captions"].as_array().unwrap().iter().filter(|record| record["method"] == method)
        {
            let mut captioner = captioner(case, preset(record), generation(record));
            let image = record["image"].as_u64().unwrap() as usize;
            let captions = captioner.caption(&images, &keys(images.len()), 1).unwrap();
            assert_eq!(captions[image][0].ids, ids(&record["ids"]), "{case} {record}");
            let whole = captioner.tokens().decode(&captions[image][0].ids);
            assert_eq!(whole, record["text"].as_str().unwrap(), "{case} {record}");
            let prompt = if ids(&record["start"]).len() == 1 { "" } else { "a picture of" };
            let rest: String = whole.chars().skip(prompt.len()).collect();
            assert_eq!(captions[image][0].text, rest.trim(), "{case} {record}");
            checked += 1;
        }
    }
    checked
}

#[test]
fn greedy_captions_match_transformers_with_and_without_a_prompt() {
    assert!(check("greedy") > 8);
}

#[test]
fn beam_captions_match_under_both_length_rules() {
    assert!(check("beam") > 8);
}

#[test]
fn the_prompt_starts_with_dec_and_has_no_end() {
    for case in CASES {
        let facts = facts(case);
        let captioner =
            captioner(case, Preset::Original, Options::of(Preset::Original).generation(Method::Nucleus));
        assert_eq!(captioner.tokens().prompt("a picture of ").unwrap(), ids(&facts["nucleus"]["start"]));
        assert_eq!(captioner.tokens().prompt("").unwrap(), [facts["dec_id"].as_i64().unwrap()]);
        assert_eq!(captioner.tokens().enc(), facts["enc_id"].as_i64().unwrap());
    }
}

#[test]
fn nucleus_draws_from_the_distribution_transformers_would_draw_from_at_every_step() {
    for case in CASES {
        let facts = facts(case);
        let how = &facts["nucleus"];
        let path: Vec<i64> = Vec::try_from(expected(case, "nucleus.path")).unwrap();
        let start = ids(&how["start"]).len();
        // The heads are narrower than the caption is long: projected keys for many queries, image states for
        // few.
        let by_keys = walk(case, &path, start, i64::MAX);
        assert_close(
            &by_keys,
            &expected(case, "nucleus.logits"),
            TOLERANCE,
            &format!("{case} logits by keys"),
        );
        let logits = walk(case, &path, start, 1);
        assert_close(&logits, &expected(case, "nucleus.logits"), TOLERANCE, &format!("{case} logits"));
        for (j, setting) in how["settings"].as_array().unwrap().iter().enumerate() {
            let mut options = Options::of(Preset::Original).generation(Method::Nucleus);
            options.top_k = setting["top_k"].as_u64().unwrap() as usize;
            options.top_p = setting["top_p"].as_f64().unwrap();
            options.repetition_penalty = how["repetition_penalty"].as_f64().unwrap();
            options.min_length = how["min_length"].as_u64().unwrap() as usize;
            let captioner = captioner(case, Preset::Original, options.clone());
            let wanted = expected(case, &format!("nucleus.{j}.probs")); // (steps, vocabulary)
            let found = Tensor::zeros_like(&wanted);
            for step in 0..logits.size()[0] {
                let row = logits.narrow(0, step, 1);
                let row = captioner
                    .decoder()
                    .constrain(row, &[path[..start + step as usize].to_vec()], &options)
                    .unwrap();
                for candidate in distributions(&row, &options).unwrap().remove(0) {
                    let _ = found.get(step).get(candidate.id).fill_(candidate.probability);
                }
            }
            assert_eq!(found.not_equal(0.0), wanted.not_equal(0.0), "{case} {setting}: which words survive");
            assert_close(&found, &wanted, TOLERANCE, &format!("{case} {setting}"));
        }
    }
}

/// Raw logits (steps, vocabulary) along a fixed path, decoded token by token with the cache, for `queries`
/// queries per image.
fn walk(case: &str, path: &[i64], start: usize, queries: i64) -> Tensor {
    let captioner =
        captioner(case, Preset::Original, Options::of(Preset::Original).generation(Method::Nucleus));
    let states = captioner.images().states(&one_of(&pictures(case), 0)).unwrap();
    let decoder = captioner.decoder();
    let image = decoder.tower.image_keys(&states, queries).unwrap();
    let mut cache = TextCache::default();
    let mut input = path[..start].to_vec();
    let mut rows = Vec::new();
    for step in 0..path.len() - start {
        rows.push(decoder.next_word(&decoder.tensor(&[input]).unwrap(), &mut cache, &image).unwrap());
        input = vec![path[start + step]];
    }
    Tensor::cat(&rows, 0)
}

#[test]
fn odds_along_a_caption_are_transformers_and_those_of_a_bad_caption_are_refused() {
    for case in CASES {
        let path: Vec<i64> = Vec::try_from(expected(case, "nucleus.path")).unwrap();
        let start = ids(&facts(case)["nucleus"]["start"]).len();
        let options = Options::of(Preset::Original).generation(Method::Nucleus);
        let mut captioner = captioner(case, Preset::Original, options);
        let image = one_of(&pictures(case), 0);
        let log_probs = captioner.log_probs(&image, std::slice::from_ref(&path)).unwrap().remove(0);
        assert_eq!(log_probs.len(), path.len() - start, "{case}");
        let wanted = expected(case, "nucleus.logits").log_softmax(-1, Kind::Double); // (steps, vocabulary)
        for (step, word) in log_probs.iter().enumerate() {
            let given = wanted.double_value(&[step as i64, path[start + step]]);
            let highest = wanted.get(step as i64).max().double_value(&[]);
            assert!(
                (given - f64::from(word.log_probability)).abs() <= TOLERANCE,
                "{case}, step {step}: {given} {word:?}"
            );
            assert!(
                (highest - f64::from(word.highest)).abs() <= TOLERANCE,
                "{case}, step {step}: {highest} {word:?}"
            );
            assert_eq!(
                wanted.get(step as i64).argmax(0, false).int64_value(&[]),
                word.likeliest,
                "{case}, step {step}"
            );
        }
        let mut refused = |ids: Vec<i64>| captioner.log_probs(&image, &[ids]).unwrap_err().to_string();
        assert!(refused(vec![1, 2, 3]).contains("the prompt's are"));
        assert!(refused([&path[..start], &[1 << 40]].concat()).contains("words and"));
    }
}

#[test]
fn a_greedy_caption_is_the_likeliest_word_by_word() {
    let options = Options::of(Preset::Original).generation(Method::Greedy);
    let options = GenerationOptions { min_length: 0, ..options };
    let mut captioner = captioner("patch16", Preset::Original, options);
    let images = pictures("patch16");
    let captions = captioner.caption(&images, &keys(images.len()), 1).unwrap();
    let paths: Vec<Vec<i64>> = captions.iter().map(|captions| captions[0].ids.clone()).collect();
    let start = captioner.tokens().prompt("a picture of ").unwrap().len();
    for (log_probs, path) in captioner.log_probs(&images, &paths).unwrap().iter().zip(&paths) {
        let likeliest: Vec<i64> = log_probs.iter().map(|word| word.likeliest).collect();
        assert_eq!(likeliest, path[start..]);
        assert!(log_probs.iter().all(|word| word.highest == word.log_probability));
    }
}

#[test]
fn captions_of_one_image_differ_and_depend_on_nothing_but_their_key() {
    let images = pictures("patch16");
    let options =
        GenerationOptions { top_p: 1.0, ..Options::of(Preset::Original).generation(Method::Nucleus) };
    let mut captioner = captioner("patch16", Preset::Original, options);
    let together = captioner.caption(&images, &keys(3), 4).unwrap();
    let distinct: std::collections::HashSet<_> = together[0].iter().map(|caption| &caption.ids).collect();
    assert!(distinct.len() > 1, "{together:?}");
    for (i, together) in together.iter().enumerate() {
        let alone = captioner.caption(&one_of(&images, i), &keys(3)[i..=i], 4).unwrap();
        assert_eq!(&alone[0], together, "alone or in a batch");
        let fewer = captioner.caption(&one_of(&images, i), &keys(3)[i..=i], 2).unwrap();
        assert_eq!(fewer[0], together[..2], "two captions are the first two of four");
    }
}

#[test]
fn a_beam_returns_its_best_captions_best_first() {
    let images = pictures("patch16");
    let options = Options::of(Preset::Original).generation(Method::Beam);
    let mut captioner = captioner("patch16", Preset::Original, options);
    let three = captioner.caption(&images, &keys(3), 3).unwrap();
    let one = captioner.caption(&images, &keys(3), 1).unwrap();
    for (three, one) in three.iter().zip(&one) {
        assert_eq!(three.len(), 3);
        assert_eq!(three[0], one[0]);
        assert_ne!(three[0].ids, three[1].ids);
    }
}

#[test]
fn lengths_count_prompt_and_end() {
    let images = pictures("patch16");
    for method in [Method::Greedy, Method::Nucleus, Method::Beam] {
        let options = GenerationOptions {
            min_length: 9,
            max_length: 10,
            ..Options::of(Preset::Original).generation(method)
        };
        let mut captioner = captioner("patch16", Preset::Original, options);
        for caption in captioner.caption(&images, &keys(3), 1).unwrap().iter().flatten() {
            assert!(caption.ids.len() <= 10, "{method:?} {caption:?}");
            assert!(!caption.ids[..9].contains(&captioner.decoder().end), "{method:?} {caption:?}");
        }
    }
}

#[test]
fn a_word_the_model_cannot_score_is_an_error_and_not_a_caption() {
    let options = Options::of(Preset::Original).generation(Method::Greedy);
    let captioner = captioner("patch16", Preset::Original, options);
    let states = captioner.images().states(&pictures("patch16")).unwrap() * f64::NAN;
    let error = captioner.generate(&states.to_kind(Kind::Float), &keys(3), 1).unwrap_err();
    assert!(error.to_string().contains("not numbers"), "{error}");
}
