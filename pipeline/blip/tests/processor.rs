//! The image processor's files give the same pixels as in transformers, for either of the two files.

use std::{fs, path::Path, process::Command};

use crate::support::folder;
use capfilt_blip::checkpoint::Checkpoint;
use capfilt_pipeline::{image::RgbImage, model::PixelBatch, resize::Resizer};
use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};

/// Side of the models of the case `patch16`.
const SIDE: usize = 96;
const PICTURE: (usize, usize) = (150, 70);

/// Name, `processor_config.json`, `preprocessor_config.json`.
fn cases() -> Vec<(&'static str, Option<Value>, Option<Value>)> {
    let size = json!({"height": SIDE, "width": SIDE});
    let halves = json!({"size": size, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.125]});
    let nested =
        |processor: Value| Some(json!({"image_processor": processor, "processor_class": "BlipProcessor"}));
    let own = |processor: Value| Some(processor);
    vec![
        ("the older file alone", None, own(halves.clone())),
        ("the newer file alone", nested(halves.clone()), None),
        ("the newer wins", nested(halves.clone()), own(json!({"size": 40, "do_normalize": false}))),
        (
            "the newer without an image processor",
            Some(json!({"processor_class": "BlipProcessor"})),
            own(halves),
        ),
        (
            "the newer with null",
            Some(json!({"image_processor": null})),
            own(json!({"size": SIDE, "image_mean": 0.25})),
        ),
        ("nothing fills up", nested(json!({"size": SIDE})), own(json!({"size": SIDE, "image_mean": 0.25}))),
        ("not normalised", nested(json!({"size": SIDE, "do_normalize": false})), None),
        ("not rescaled", nested(json!({"size": SIDE, "do_rescale": false})), None),
        ("neither", None, own(json!({"size": [SIDE, SIDE], "do_rescale": false, "do_normalize": false}))),
        ("another factor", nested(json!({"size": SIDE, "rescale_factor": 0.007, "image_std": 0.25})), None),
        ("null switches off", nested(json!({"size": SIDE, "do_normalize": null, "image_mean": null})), None),
        (
            "null rescales nothing",
            None,
            own(json!({"size": SIDE, "do_rescale": null, "do_pad": null, "crop_size": null})),
        ),
        (
            "a crop to the same size",
            None,
            own(json!({"size": SIDE, "do_center_crop": true, "crop_size": SIDE})),
        ),
        ("a border to the same size", None, own(json!({"size": SIDE, "do_pad": true, "size_divisor": 32}))),
        (
            "the fast class",
            None,
            own(json!({"size": SIDE, "image_processor_type": "BlipImageProcessorFast"})),
        ),
    ]
}

/// A picture of gradients: every resize changes its pixels.
fn picture() -> RgbImage {
    let (width, height) = PICTURE;
    let value = |i: usize| ((i * 7 + i / (3 * width) * 31 + (i % 3) * 50) % 256) as u8;
    let pixels_u8 = (0..width * height * 3).map(value).collect();
    RgbImage { width: width as u32, height: height as u32, pixels_u8, reduced_from: None }
}

fn prepared(processor: &Path, case: &str) -> Tensor {
    let checkpoint = Checkpoint::open(processor).unwrap_or_else(|error| panic!("{case}: {error}"));
    let mut batch = PixelBatch::with_capacity(SIDE, 1);
    let mut pixels = Vec::new();
    Resizer::new().squash(&picture(), SIDE, &mut pixels);
    batch.push(&pixels);
    checkpoint.normalisation.apply(&batch, Device::Cpu, Kind::Float).unwrap()
}

#[test]
fn every_form_of_the_processor_s_files_gives_transformers_pixels() {
    let all = tempfile::tempdir().unwrap();
    for (name, newer, older) in cases() {
        let case = all.path().join(name);
        fs::create_dir(&case).unwrap();
        for file in ["config.json", "tokenizer.json", "model.safetensors"] {
            fs::copy(folder("patch16", "captioner").join(file), case.join(file)).unwrap();
        }
        for (file, content) in [("processor_config.json", newer), ("preprocessor_config.json", older)] {
            content.iter().for_each(|content| fs::write(case.join(file), content.to_string()).unwrap());
        }
    }
    let raw = all.path().join("picture.raw");
    fs::write(&raw, picture().pixels_u8).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = here.join("../../.venv/bin/python");
    assert!(python.exists(), "{} is not there: run make setup", python.display());
    let output = Command::new(python)
        .arg(here.join("tests/processor_reference.py"))
        .args([all.path(), &raw])
        .args([PICTURE.0.to_string(), PICTURE.1.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (name, ..) in cases() {
        let theirs = fs::read(all.path().join(name).join("pixels.f32")).unwrap();
        let side = SIDE as i64;
        let theirs = Tensor::from_data_size(&theirs, &[1, 3, side, side], Kind::Float);
        let ours = prepared(&all.path().join(name), name);
        let (off, scale) =
            ((&ours - &theirs).abs().max().double_value(&[]), theirs.abs().max().double_value(&[]));
        // Equal up to the rounding of f32.
        assert!(off <= 4e-7 * scale.max(1.0), "{name}: off by {off:e} of {scale}");
    }
}
