//! CLIP gives the squares, ids and vectors of transformers and of OpenCLIP, and refuses other checkpoints.

use std::{fs, path::Path};

use crate::support::{expected, facts, folder, ids};
use capfilt_blip::{ClipScorer, DeviceChoice, LoadError};
use capfilt_pipeline::{
    frames::Frames,
    image::RgbImage,
    model::{DualEncoder as _, PixelBatch, clip_score},
    resize::Resizer,
};
use capfilt_schemas::settings::Precision;
use serde_json::{Value, json};
use tch::Tensor;

const LAYOUTS: [&str; 3] = ["transformers", "transformers-old", "open-clip"];

/// Largest difference of two cosines in f32, as of CLIP scores in hundredths.
const TOLERANCE: f32 = 1e-4;

fn load(path: &Path, precision: Precision) -> Result<ClipScorer, LoadError> {
    ClipScorer::load(path, DeviceChoice::Cpu, precision)
}

fn clip(layout: &str) -> ClipScorer {
    load(&folder("clip", layout), Precision::F32).unwrap()
}

fn texts() -> Vec<String> {
    facts("clip")["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The pictures, as decoded.
fn pictures() -> Vec<RgbImage> {
    let picture = |i: usize| {
        let pixels = expected("clip", &format!("image.{i}")); // (height, width, 3)
        let (height, width) = (pixels.size()[0] as u32, pixels.size()[1] as u32);
        RgbImage { width, height, pixels_u8: bytes(&pixels), reduced_from: None }
    };
    (0..8).map(picture).collect()
}

fn bytes(pixels: &Tensor) -> Vec<u8> {
    Vec::try_from(pixels.contiguous().view([-1])).unwrap()
}

/// The squares that a model sees.
fn squares(clip: &ClipScorer) -> PixelBatch {
    let (mut resizer, mut batch) = (Resizer::new(), PixelBatch::with_capacity(clip.square().side, 8));
    for picture in pictures() {
        let mut pixels = Vec::new();
        resizer.square(&picture, clip.square(), &mut pixels);
        batch.push(&pixels);
    }
    batch
}

fn vectors(clip: &mut ClipScorer) -> [Vec<Vec<f32>>; 2] {
    let (images, texts) = (squares(clip), texts());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    [clip.images(&images).unwrap(), clip.texts(&texts, 8).unwrap()]
}

fn rows(matrix: &Tensor) -> Vec<Vec<f32>> {
    Vec::<Vec<f32>>::try_from(matrix).unwrap()
}

/// Largest difference of the CLIP scores of all images and texts.
fn difference(found: &[Vec<Vec<f32>>; 2], expected: &[Vec<Vec<f32>>; 2]) -> f32 {
    let scores = |[images, texts]: &[Vec<Vec<f32>>; 2]| -> Vec<f32> {
        images.iter().flat_map(|image| texts.iter().map(|text| clip_score(image, text))).collect()
    };
    let (found, expected) = (scores(found), scores(expected));
    assert_eq!(found.len(), expected.len());
    found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn squares_are_those_of_the_processors_byte_for_byte() {
    for layout in LAYOUTS {
        let expected = bytes(&expected("clip", &format!("{layout}.squares")));
        assert!(squares(&clip(layout)).pixels_u8() == expected, "{layout}");
    }
}

#[test]
fn hostile_texts_have_the_ids_of_transformers() {
    for layout in LAYOUTS {
        let (clip, facts) = (clip(layout), facts("clip"));
        for (text, expected) in texts().iter().zip(facts["ids"][layout].as_array().unwrap()) {
            assert_eq!(clip.tokens().encode(text).unwrap(), ids(expected), "{layout} {text:?}");
        }
    }
}

#[test]
fn scores_are_those_of_transformers_and_of_open_clip() {
    for layout in LAYOUTS {
        let expected = ["images", "texts"].map(|part| rows(&expected("clip", &format!("{layout}.{part}"))));
        let found = difference(&vectors(&mut clip(layout)), &expected);
        println!("{layout}: CLIP scores differ by at most {found:.2e}");
        assert!(found <= 100.0 * TOLERANCE, "{layout}: {found}");
    }
}

#[test]
fn half_precision_is_near_and_a_text_does_not_depend_on_its_batch() {
    let mut exact = clip("transformers");
    let expected = vectors(&mut exact);
    let mut half = load(&folder("clip", "transformers"), Precision::Bf16).unwrap();
    let found = difference(&vectors(&mut half), &expected);
    println!("bf16: CLIP scores differ by at most {found:.2}");
    assert!(found < 5.0, "{found}");
    for (text, together) in texts().iter().zip(&expected[1]) {
        let alone = exact.texts(&[text], 1).unwrap().swap_remove(0);
        let apart = alone.iter().zip(together).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-5, "{text:?}: {apart}");
    }
    assert!(exact.texts(&[], 1).unwrap().is_empty());
    assert!(exact.images(&PixelBatch::with_capacity(32, 0)).unwrap().is_empty());
    let small = PixelBatch::of(1, Frames::ONE, [[0u8; 3].as_slice()].into_iter());
    assert!(exact.images(&small).unwrap_err().to_string().contains("1x1 pixels"));
}

#[test]
fn more_texts_than_one_call_takes_are_divided() {
    let mut clip = clip("transformers");
    let texts: Vec<String> = (0..300).map(|i| format!("{i} cats")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let vectors = clip.texts(&texts, 1).unwrap();
    assert_eq!(vectors.len(), 300);
    let last = clip.texts(&texts[299..], 1).unwrap();
    assert!(vectors[299].iter().zip(&last[0]).all(|(a, b)| (a - b).abs() < 1e-5));
}

fn copy(layout: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder("clip", layout)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Error of a checkpoint with one changed JSON file.
fn refused(layout: &str, file: &str, change: impl FnOnce(&mut Value)) -> String {
    let copy = copy(layout);
    let path = copy.path().join(file);
    let mut value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
    let error = load(copy.path(), Precision::F32).err().expect("must be refused");
    format!("{error:?} {error}")
}

#[test]
fn a_checkpoint_that_is_not_whole_or_not_clip_is_refused_with_the_file_and_the_fault() {
    for (file, layout, expected) in [
        ("config.json", "transformers", "holds no config.json"),
        ("open_clip_config.json", "open-clip", "open_clip_config.json"),
        ("tokenizer.json", "transformers", "tokenizer of CLIP"),
        ("merges.txt", "transformers-old", "tokenizer of CLIP"),
        ("model.safetensors", "transformers", "holds no weights"),
    ] {
        let copy = copy(layout);
        fs::remove_file(copy.path().join(file)).unwrap();
        let error = load(copy.path(), Precision::F32).err().unwrap().to_string();
        assert!(error.contains(expected), "{file}: {error}");
    }
    let blip = load(&folder("patch16", "filter"), Precision::F32).err().unwrap().to_string();
    assert!(blip.contains("model_type is \"blip\""), "{blip}");
    let error = refused("transformers", "config.json", |config| config["projection_dim"] = 17.into());
    assert!(error.contains("visual_projection.weight is [16, 32], expected [17, 32]"), "{error}");
    let error = refused("transformers", "config.json", |config| {
        config["text_config"]["num_hidden_layers"] = 3.into();
    });
    assert!(error.contains("16 tensors missing") && error.contains("for a CLIP"), "{error}");
    let error = refused("open-clip", "open_clip_config.json", |config| {
        config["model_cfg"]["vision_cfg"]["layers"] = 1.into();
    });
    assert!(error.contains("12 tensors unexpected"), "{error}");
    let error = refused("transformers", "preprocessor_config.json", |keys| {
        (keys["crop_size"], keys["size"]) = (json!(40), json!(40));
    });
    assert!(error.contains("squares of 40 pixels") && error.contains("the model takes 32"), "{error}");
    let damaged = copy("transformers");
    let path = damaged.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(load(damaged.path(), Precision::F32).is_err());
}

#[test]
fn a_tokenizer_that_is_not_clip_s_is_refused_with_the_step_that_differs() {
    let change = |change: fn(&mut Value)| refused("transformers", "tokenizer.json", change);
    for (error, expected) in [
        (change(|file| file["normalizer"] = Value::Null), "normalizer"),
        (
            change(|file| {
                file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "((a*)*)*b".into();
            }),
            "pre-tokenizer",
        ),
        (
            change(|file| file["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true.into()),
            "ByteLevel",
        ),
        (change(|file| file["model"]["end_of_word_suffix"] = "".into()), "BPE"),
        (
            change(|file| file["model"]["continuing_subword_prefix"] = "@@".into()),
            "continuing_subword_prefix",
        ),
        (change(|file| file["model"]["dropout"] = 0.5.into()), "dropout"),
        (change(|file| file["model"]["unk_token"] = "nope".into()), "become \"nope\""),
        (change(|file| file["model"]["vocab"]["a"] = 4_000_000.into()), "has the id 4000000"),
        (change(|file| file["model"]["merges"][0] = json!(["nope", "nope"])), "not a tokenizer"),
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let error = refused("transformers", "config.json", |config| {
        config["text_config"]["eos_token_id"] = 7.into();
    });
    assert!(error.contains("eos_token_id of config.json is 7"), "{error}");
}
