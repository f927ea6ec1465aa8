//! Towers and heads give the outputs of transformers, within 1e-4 in f32.

use crate::support::{CASES, TOLERANCE, assert_close, expected, facts, filter, ids, one_of, pictures, texts};
use capfilt_blip::{BlipFilter, preprocess::Normalisation};
use capfilt_pipeline::model::Filter;
use capfilt_schemas::settings::Preset;
use tch::{Device, Kind, Tensor};

const PRESETS: [(Preset, &str); 2] = [(Preset::Hf, "hf"), (Preset::Original, "original")];

/// Each image's texts are adjacent; all texts for every image.
fn rows(filter: &BlipFilter, case: &str) -> capfilt_blip::TextBatch {
    let texts = texts(case);
    let images = pictures(case).len();
    let all: Vec<&str> = (0..images).flat_map(|_| texts.iter().map(String::as_str)).collect();
    filter.batch(&all).unwrap()
}

#[test]
fn pixels_are_normalised_as_transformers_normalises_them() {
    for case in CASES {
        // The fixture has only the first picture.
        let first = one_of(&pictures(case), 0);
        let pixels = Normalisation::default().apply(&first, Device::Cpu, Kind::Float).unwrap();
        assert_close(&pixels, &expected(case, "pixels_norm"), 1e-5, case);
    }
}

#[test]
fn image_states_match_transformers_with_either_epsilon() {
    for case in CASES {
        for (preset, name) in PRESETS {
            let states = filter(case, preset).images().states(&pictures(case)).unwrap();
            assert_close(
                &states,
                &expected(case, &format!("filter.vision.{name}")),
                TOLERANCE,
                &format!("{case} {name}"),
            );
        }
    }
}

#[test]
fn texts_become_the_ids_of_berts_tokenizer() {
    for case in CASES {
        let filter = filter(case, Preset::Original);
        for text in facts(case)["texts"].as_array().unwrap() {
            let found = filter.tokens().encode(text["text"].as_str().unwrap(), 35).unwrap();
            assert_eq!(found, ids(&text["ids"]), "{case} {}", text["text"]);
        }
        let (texts, batch) = (texts(case), expected(case, "texts.ids"));
        let found = filter.batch(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!(found.ids, batch, "{case}: padded ids");
        assert_eq!(found.mask, expected(case, "texts.mask"), "{case}: mask");
    }
}

#[test]
fn matching_logits_match_transformers_with_cls_and_with_enc() {
    for case in CASES {
        for (preset, name) in PRESETS {
            let filter = filter(case, preset);
            let states = filter.images().states(&pictures(case)).unwrap();
            let wanted = expected(case, &format!("itm.{name}.logits")); // (images, texts, 2)
            let ways = [("keys", filter.projected_keys(&states)), ("states", filter.image_keys(&states, 1))];
            for (way, image) in ways {
                let logits = filter.itm_logits(&rows(&filter, case), &image.unwrap()).unwrap();
                assert_close(
                    &logits.view_as(&wanted),
                    &wanted,
                    TOLERANCE,
                    &format!("{case} {name} logits by {way}"),
                );
            }
        }
    }
}

#[test]
fn cosines_match_transformers() {
    for case in CASES {
        for (preset, name) in PRESETS {
            let filter = filter(case, preset);
            let states = filter.images().states(&pictures(case)).unwrap();
            let cosines = filter.cosines(&rows(&filter, case), &states).unwrap();
            let wanted = expected(case, &format!("itc.{name}.cosine"));
            assert_close(&cosines.view_as(&wanted), &wanted, TOLERANCE, &format!("{case} {name} cosine"));
        }
    }
}

#[test]
fn the_seam_returns_the_probability_of_a_match_and_the_cosine() {
    for case in CASES {
        for (preset, name) in PRESETS {
            let images = pictures(case);
            let scores = filter(case, preset).score(&images, &vec![texts(case); images.len()]).unwrap();
            let matches: Vec<f32> = scores.iter().flatten().map(|score| score.itm).collect();
            let cosines: Vec<f32> = scores.iter().flatten().map(|score| score.itc).collect();
            let wanted = expected(case, &format!("itm.{name}.softmax")).select(2, 1).reshape([-1]);
            assert_close(
                &Tensor::from_slice(&matches),
                &wanted,
                TOLERANCE,
                &format!("{case} {name} P(match)"),
            );
            let wanted = expected(case, &format!("itc.{name}.cosine")).reshape([-1]);
            assert_close(&Tensor::from_slice(&cosines), &wanted, TOLERANCE, &format!("{case} {name} cosine"));
        }
    }
}
