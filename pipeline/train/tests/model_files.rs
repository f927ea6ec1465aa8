//! A trained model loads in transformers: it has the tensors of its classes, with the names and shapes that
//! `make_transformers_names.py` recorded. Models of earlier versions still load here.

use crate::support::{alone_with_the_generator, config};
#[allow(dead_code)]
use capfilt_blip::{names::original_name, preprocess::Normalisation, tensor_file::TensorFile};
use capfilt_schemas::settings::train::{Model, Sharing, Sizes, Task};
use capfilt_train::{
    Layout, Parameters, Parts, Start,
    lineage::{Data, Lineage},
    model_files::{self, Description},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};
use tch::{Device, Kind, Tensor};

type Shapes = BTreeMap<String, String>;

fn parts(task: Task) -> Parts {
    let (encoder, decoder) = (task != Task::Captioner, task != Task::Filter);
    let config = config();
    Parts { config, encoder, contrast: encoder, matching: encoder, decoder, dropout: 0.0, drop_path: 0.0 }
}

/// A model whose numbers all differ, as training writes it.
fn written(task: Task) -> tempfile::TempDir {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).into_iter();
    let words: Vec<String> = words.chain((5..22).map(|i| format!("w{i}"))).collect();
    fs::write(tokenizer.path().join("vocab.txt"), words.join("\n")).unwrap();
    let parts = parts(task);
    let layout = Layout::new(&parts, Sharing::AllButSa);
    let vector = Tensor::arange(layout.total(), (Kind::Float, Device::Cpu)) * 1e-4;
    let parameters = Parameters::new(layout, &vector, Device::Cpu).unwrap();
    let lineage = Lineage {
        version: 1,
        task,
        capfilt: "0".into(),
        steps: 1,
        epochs: 1.0,
        data: Data { version: "v".into(), pairs: 1 },
        settings: Value::Null,
        parent: None,
    };
    let about = Description {
        task,
        config: &parts.config,
        normalisation: &Normalisation::default(),
        tokenizer: tokenizer.path(),
        lineage: &lineage,
        label_smoothing: 0.1,
    };
    model_files::write(folder.path(), &parameters, Kind::Float, &about).unwrap();
    folder
}

fn starting_from(folder: &Path) -> Model {
    Model {
        from: folder.display().to_string(),
        vocabulary: String::new(),
        vision_weights: String::new(),
        text_weights: String::new(),
        image_size: 0,
        waves: 0.0,
        sharing: Sharing::AllButSa,
        dropout: 0.0,
        drop_path: 0.0,
        checkpoint_blocks: false,
    }
}

/// A checkpoint has its own sizes.
fn no_sizes() -> Sizes {
    Sizes {
        image_size: 0,
        patch_size: 0,
        vision_width: 0,
        vision_layers: 0,
        vision_heads: 0,
        text_width: 0,
        text_layers: 0,
        text_heads: 0,
        positions: 0,
        projection: 0,
    }
}

fn shapes(folder: &Path) -> Shapes {
    let file = TensorFile::open(&folder.join("model.safetensors")).unwrap();
    let joined = |shape: &[i64]| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
    file.names().map(|name| (name.to_owned(), joined(file.shape(name).unwrap()))).collect()
}

/// The tensors of a class of transformers.
fn of_class(name: &str) -> Shapes {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/transformers_names.json");
    let golden: Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    serde_json::from_value(golden["classes"][name]["tensors"].clone()).unwrap()
}

#[test]
fn filter_and_captioner_have_exactly_the_tensors_of_their_classes() {
    let _alone = alone_with_the_generator();
    for (task, class) in
        [(Task::Filter, "BlipForImageTextRetrieval"), (Task::Captioner, "BlipForConditionalGeneration")]
    {
        let folder = written(task);
        assert_eq!(shapes(folder.path()), of_class(class));
        let config: Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("config.json")).unwrap()).unwrap();
        assert_eq!(config["architectures"], json!([class]));
    }
}

#[test]
fn a_pre_trained_model_has_all_tensors_of_both_classes() {
    let _alone = alone_with_the_generator();
    let folder = written(Task::Pretrain);
    let (found, retrieval, captioning) = (
        shapes(folder.path()),
        of_class("BlipForImageTextRetrieval"),
        of_class("BlipForConditionalGeneration"),
    );
    let config: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["architectures"], json!(["BlipForImageTextRetrieval"]));
    for (name, shape) in retrieval.iter().chain(&captioning) {
        assert_eq!(found.get(name), Some(shape), "{name}");
    }
    // The only other tensor is the temperature.
    let both: BTreeSet<&String> = retrieval.keys().chain(captioning.keys()).collect();
    let more: Vec<&String> = found.keys().filter(|name| !both.contains(name)).collect();
    assert_eq!(more, ["temp"]);
}

#[test]
fn a_pre_trained_model_of_an_earlier_version_is_the_same_start() {
    let _alone = alone_with_the_generator();
    let new = written(Task::Pretrain);
    let old = written(Task::Pretrain);
    let path = old.path().join("model.safetensors");
    // Earlier versions used the original's names for the vision tower, and stored tied tensors twice.
    let mut named: Vec<(String, Tensor)> = Tensor::read_safetensors(&path).unwrap();
    for (from, to) in [
        (
            "text_decoder.bert.embeddings.word_embeddings.weight",
            "text_decoder.cls.predictions.decoder.weight",
        ),
        ("text_decoder.cls.predictions.bias", "text_decoder.cls.predictions.decoder.bias"),
    ] {
        let tensor = named.iter().find(|(name, _)| name == from).unwrap().1.shallow_clone();
        named.push((to.to_owned(), tensor));
    }
    let named: Vec<(String, Tensor)> =
        named.into_iter().map(|(name, tensor)| (original_name(&name), tensor)).collect();
    Tensor::write_safetensors(&named, &path).unwrap();
    assert!(shapes(old.path()).keys().any(|name| name.starts_with("visual_encoder.")));
    let weights = |folder: &Path| {
        let mut start = Start::open(&starting_from(folder), &no_sizes()).unwrap();
        let weights = start.weights(&Layout::new(&parts(Task::Pretrain), Sharing::AllButSa), 1).unwrap();
        assert!(start.drawn.is_empty(), "{:?}", start.drawn);
        weights
    };
    assert_eq!(weights(new.path()), weights(old.path()));
}
