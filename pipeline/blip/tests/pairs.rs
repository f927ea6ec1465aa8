//! Statements about pairs of images: logits equal those of a step-by-step reference (reference_nlvr.py).

use std::{fs, path::Path};

use crate::support::{TOLERANCE, assert_close, expected, facts, folder, one_of, options, pictures};
use capfilt_blip::{
    BlipAnswerer, BlipFilter, BlipReasoner, LoadError, LoadOptions, Statement, weight_files::WeightFiles,
};
use capfilt_pipeline::model::PixelBatch;
use capfilt_schemas::settings::{Precision, Preset};
use tch::{Kind, Tensor};

const CASE: &str = "pairs";

fn reasoner() -> BlipReasoner {
    BlipReasoner::load(&folder(CASE, "reasoner-original"), &options(Preset::Original)).unwrap()
}

/// Images and text of each row of the reference.
fn rows() -> Vec<([usize; 2], String)> {
    let facts = facts(CASE);
    let number = |row: &serde_json::Value, i: usize| row[i].as_u64().unwrap() as usize;
    let text = |row| facts["statements"][number(row, 2)].as_str().unwrap().to_owned();
    facts["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ([number(row, 0), number(row, 1)], text(row)))
        .collect()
}

fn statements(rows: &[([usize; 2], String)]) -> Vec<Statement<'_>> {
    rows.iter().map(|(images, text)| Statement { images: *images, text }).collect()
}

fn logits(reasoner: &BlipReasoner, statements: &[Statement<'_>]) -> Tensor {
    let states = reasoner.images().states(&pictures(CASE)).unwrap();
    reasoner.logits(&reasoner.batch(statements).unwrap(), statements, &states).unwrap()
}

#[test]
fn image_states_and_logits_are_those_of_the_step_by_step_reference() {
    let (reasoner, rows) = (reasoner(), rows());
    let states = reasoner.images().states(&pictures(CASE)).unwrap();
    assert_close(&states, &expected(CASE, "states"), TOLERANCE, "image states");
    let all = statements(&rows);
    // Statements of different lengths in one batch, and each statement alone.
    let found = logits(&reasoner, &all);
    assert_close(&found, &expected(CASE, "logits"), TOLERANCE, "logits");
    for (i, statement) in all.iter().enumerate() {
        let alone = logits(&reasoner, &[*statement]);
        assert_close(&alone.get(0), &found.get(i as i64), 1e-5, &format!("logits of row {i} alone"));
    }
}

#[test]
fn a_probability_is_the_softmax_of_true_and_depends_on_the_order_of_the_images() {
    let (reasoner, rows) = (reasoner(), rows());
    let truth = expected(CASE, "logits").softmax(-1, Kind::Float).select(1, 1);
    let truth = Vec::<f32>::try_from(truth).unwrap();
    let found = reasoner.probabilities(&pictures(CASE), &statements(&rows)).unwrap();
    for (found, truth) in found.iter().zip(&truth) {
        assert!((found - truth).abs() <= 1e-4, "{found} {truth}");
    }
    // Rows 0 and 1 have one pair in both orders.
    assert_eq!((rows[0].0, rows[1].0, &rows[0].1), ([0, 1], [1, 0], &rows[1].1));
    assert!((found[0] - found[1]).abs() > 0.1, "{found:?}");
}

#[test]
fn bf16_agrees_with_f32_on_clear_statements() {
    let options = LoadOptions { precision: Precision::Bf16, ..options(Preset::Original) };
    let reasoner = BlipReasoner::load(&folder(CASE, "reasoner-original"), &options).unwrap();
    let rows = rows();
    let found = reasoner.probabilities(&pictures(CASE), &statements(&rows)).unwrap();
    let logits = expected(CASE, "logits");
    let mut clear = 0;
    for (i, found) in found.iter().enumerate() {
        let lead = logits.double_value(&[i as i64, 1]) - logits.double_value(&[i as i64, 0]);
        if lead.abs() > 1.0 {
            assert_eq!(*found > 0.5, lead > 0.0, "row {i}: {found}, lead {lead}");
            clear += 1;
        }
    }
    assert!(clear >= 3, "the case has {clear} clear statements");
}

/// Error of loading the model after a change of its tensors.
fn error_after(change: impl FnOnce(&mut Vec<(String, Tensor)>)) -> String {
    let (original, copy) = (folder(CASE, "reasoner-original"), tempfile::tempdir().unwrap());
    for name in ["config.json", "vocab.txt", "tokenizer.json", "preprocessor_config.json"] {
        fs::copy(original.join(name), copy.path().join(name)).unwrap();
    }
    let mut file = WeightFiles::open(&original.join("model_base_nlvr.pth")).unwrap();
    let names: Vec<String> = file.names().cloned().collect();
    let mut named: Vec<(String, Tensor)> =
        names.into_iter().map(|name| (name.clone(), file.read(&name).unwrap())).collect();
    change(&mut named);
    Tensor::write_safetensors(&named, copy.path().join("model.safetensors")).unwrap();
    let loaded = BlipReasoner::load(copy.path(), &options(Preset::Original));
    loaded.err().map(|error| chain(&error)).unwrap_or_default()
}

/// The message with its causes.
fn chain(error: &LoadError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

#[test]
fn missing_and_misshapen_tensors_are_refused_by_name() {
    assert_eq!(error_after(|_| {}), "", "the unchanged copy loads");
    let layer = "text_encoder.encoder.layer";
    for name in [
        // Layers 2 and 3 merge; without its tensors a layer below the last would look like one that averages.
        format!("{layer}.3.crossattention.output.merge_layer.weight"),
        format!("{layer}.2.crossattention.output.merge_layer.weight"),
        format!("{layer}.0.crossattention.self1.key.bias"),
        format!("{layer}.1.crossattention.output.dense0.weight"),
        "cls_head.2.bias".into(),
    ] {
        let error = error_after(|named| named.retain(|(known, _)| *known != name));
        assert!(error.contains(&name) && error.contains("missing"), "{name}: {error}");
    }
    let error = error_after(|named| named.retain(|(name, _)| !name.contains("merge_layer")));
    assert!(error.contains(&format!("{layer}.3.crossattention.output.merge_layer")), "{error}");
    let error =
        error_after(|named| named.retain(|(name, _)| !name.contains("layer.3.crossattention.output.m")));
    assert!(error.contains(&format!("{layer}.3.crossattention.output.merge_layer")), "{error}");
    let error = error_after(|named| {
        let head = named.iter_mut().find(|(name, _)| name == "cls_head.2.weight").unwrap();
        head.1 = Tensor::zeros([3, 32], (Kind::Float, tch::Device::Cpu));
    });
    assert!(error.contains("cls_head.2.weight is [3, 32], expected [2, 32]"), "{error}");
}

#[test]
fn checkpoints_of_other_models_are_recognised() {
    let options = options(Preset::Original);
    let error = |path: &Path| chain(&BlipReasoner::load(path, &options).err().unwrap());
    assert!(error(&folder("patch16", "captioner")).contains("is this a captioner checkpoint?"));
    assert!(error(&folder("patch16", "filter-original")).contains("is this a filter checkpoint?"));
    let path = folder(CASE, "reasoner-original");
    let filter = chain(&BlipFilter::load(&path, &options).err().unwrap());
    assert!(filter.contains("is this a reasoner checkpoint?"), "{filter}");
    let answerer = BlipAnswerer::load(&path, &options, options.options.answering());
    let answerer = chain(&answerer.err().unwrap());
    assert!(answerer.contains("is this a reasoner checkpoint?"), "{answerer}");
}

#[test]
fn statements_about_missing_images_are_refused_and_an_empty_batch_has_no_results() {
    let (reasoner, images) = (reasoner(), pictures(CASE));
    let beyond = [Statement { images: [0, 3], text: "the cat" }];
    let error = reasoner.probabilities(&images, &beyond).unwrap_err().to_string();
    assert!(error.contains("image 3 of 3"), "{error}");
    assert!(reasoner.probabilities(&PixelBatch::with_capacity(64, 0), &[]).unwrap().is_empty());
    let same = [Statement { images: [0, 0], text: "" }];
    assert_eq!(reasoner.probabilities(&one_of(&images, 1), &same).unwrap().len(), 1);
}
