//! The golden fixtures: outputs of transformers for two tiny random models. See `golden/README.md`.

#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;

use capfilt_blip::{
    BlipCaptioner, BlipFilter, DeviceChoice, GenerationOptions, LoadOptions, tensor_file::TensorFile,
};
use capfilt_pipeline::model::{PixelBatch, SampleKey};
use capfilt_schemas::settings::{Precision, Preset};
use serde_json::Value;
use tch::{Kind, Tensor};

pub const CASES: [&str; 2] = ["patch16", "patch8"];
/// Two f32 implementations of the same model differ by 1e-6 to 1e-5.
pub const TOLERANCE: f64 = 1e-4;

pub fn folder(case: &str, part: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(case).join(part)
}

pub fn expected(case: &str, name: &str) -> Tensor {
    TensorFile::open(&folder(case, "expected.safetensors")).unwrap().read(name).unwrap()
}

pub fn facts(case: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder(case, "expected.json")).unwrap()).unwrap()
}

/// All pictures of the case.
pub fn pictures(case: &str) -> PixelBatch {
    let pixels = expected(case, "pixels_u8"); // (images, side, side, 3)
    let side = pixels.size()[1] as usize;
    let bytes: Vec<u8> = Vec::try_from(pixels.contiguous().view([-1])).unwrap();
    let mut batch = PixelBatch::with_capacity(side, 4);
    bytes.chunks(side * side * 3).for_each(|image| batch.push(image));
    batch
}

/// One picture of a batch, alone.
pub fn one_of(batch: &PixelBatch, i: usize) -> PixelBatch {
    let bytes = batch.side() * batch.side() * 3;
    let mut one = PixelBatch::with_capacity(batch.side(), 1);
    one.push(&batch.pixels_u8()[i * bytes..(i + 1) * bytes]);
    one
}

/// f32 on the CPU. Texts are cut at 35 ids under both presets, as the fixtures are.
pub fn options(preset: Preset) -> LoadOptions {
    let mut options = LoadOptions::preset(preset);
    options.device = DeviceChoice::Cpu;
    options.precision = Precision::F32;
    options.options.itm_max_tokens = Some(35);
    options
}

pub fn filter(case: &str, preset: Preset) -> BlipFilter {
    BlipFilter::load(&folder(case, "filter"), &options(preset)).unwrap()
}

pub fn captioner(case: &str, preset: Preset, generation: GenerationOptions) -> BlipCaptioner {
    BlipCaptioner::load(&folder(case, "captioner"), &options(preset), generation).unwrap()
}

pub fn texts(case: &str) -> Vec<String> {
    facts(case)["texts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text["text"].as_str().unwrap().to_string())
        .collect()
}

pub fn ids(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect()
}

pub fn keys(n: usize) -> Vec<SampleKey> {
    (0..n).map(|i| SampleKey { job_seed: 11, image_sha256: [i as u8; 32] }).collect()
}

pub fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}: shape");
    let error = (found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs().max().double_value(&[]);
    println!("{what}: max abs error {error:.2e}");
    assert!(error <= tolerance, "{what}: max abs error {error:.2e} > {tolerance:.0e}");
}
