//! A trained model loads in transformers: it has the tensors of its classes, with the names and shapes that
//! `make_transformers_names.py` recorded. Models of earlier versions still load here.

use crate::support::{alone_with_the_generator, config};
#[allow(dead_code)]
use capfilt_blip::{
    BlipReasoner, DeviceChoice, LoadOptions, Statement, config::MedConfig, names::original_name,
    preprocess::Normalisation, tensor_file::TensorFile,
};
use capfilt_pipeline::model::PixelBatch;
use capfilt_schemas::settings::{
    Precision, Preset,
    train::{Model, Sharing, Sizes, Task},
};
use capfilt_train::{
    Attends, Layout, Parameters, Parts, Start,
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

fn parts(task: Task, config: MedConfig) -> Parts {
    let encoder = !matches!(task, Task::Captioner | Task::Nlvr);
    let contrast = !matches!(task, Task::Captioner | Task::Vqa | Task::Nlvr);
    let decoder = match task {
        Task::Filter | Task::Nlvr => None,
        Task::Vqa => Some(Attends::ToQuestion),
        Task::Pretrain | Task::Captioner => Some(Attends::ToImage),
    };
    let (matching, reasoner) = (contrast, task == Task::Nlvr);
    Parts { config, encoder, contrast, matching, reasoner, decoder, dropout: 0.0, drop_path: 0.0 }
}

fn sharing(task: Task) -> Sharing {
    if matches!(task, Task::Vqa | Task::Nlvr) { Sharing::None } else { Sharing::AllButSa }
}

/// A model whose numbers all differ, as training writes it.
fn written(task: Task, config: MedConfig) -> tempfile::TempDir {
    let (folder, tokenizer) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).into_iter();
    let words: Vec<String> = words.chain((5..22).map(|i| format!("w{i}"))).collect();
    fs::write(tokenizer.path().join("vocab.txt"), words.join("\n")).unwrap();
    let parts = parts(task, config);
    let layout = Layout::new(&parts, sharing(task));
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
fn filter_captioner_and_answerer_have_exactly_the_tensors_of_their_classes() {
    let _alone = alone_with_the_generator();
    for (task, class) in [
        (Task::Filter, "BlipForImageTextRetrieval"),
        (Task::Captioner, "BlipForConditionalGeneration"),
        (Task::Vqa, "BlipForQuestionAnswering"),
    ] {
        let folder = written(task, config());
        assert_eq!(shapes(folder.path()), of_class(class));
        let config: Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("config.json")).unwrap()).unwrap();
        assert_eq!(config["architectures"], json!([class]));
    }
}

#[test]
fn a_pre_trained_model_has_all_tensors_of_both_classes() {
    let _alone = alone_with_the_generator();
    let folder = written(Task::Pretrain, config());
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
    let new = written(Task::Pretrain, config());
    let old = written(Task::Pretrain, config());
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
        let weights =
            start.weights(&Layout::new(&parts(Task::Pretrain, config()), Sharing::AllButSa), 1).unwrap();
        assert!(start.drawn.is_empty(), "{:?}", start.drawn);
        weights
    };
    assert_eq!(weights(new.path()), weights(old.path()));
}

#[test]
fn an_answerer_starts_from_both_text_towers_of_a_pre_trained_model() {
    let _alone = alone_with_the_generator();
    let mut wider = config();
    (wider.vision.hidden_size, wider.vision.intermediate_size) = (16, 64);
    for config in [config(), wider] {
        let folder = written(Task::Pretrain, config.clone());
        let mut stored = TensorFile::open(&folder.path().join("model.safetensors")).unwrap();
        let mut start = Start::open(&starting_from(folder.path()), &no_sizes()).unwrap();
        let layout = Layout::new(&parts(Task::Vqa, config.clone()), Sharing::None);
        let found = layout.named(&start.weights(&layout, 1).unwrap()).unwrap();
        // In a model with a wider image encoder, the decoder's projections of the image do not fit the states
        // of a question.
        let of_image = |name: &str| {
            name.starts_with("text_decoder.")
                && (name.ends_with("crossattention.self.key.weight")
                    || name.ends_with("crossattention.self.value.weight"))
        };
        let expected: Vec<&String> =
            found.keys().filter(|name| of_image(name) && config.vision.hidden_size == 16).collect();
        let drawn: BTreeSet<&String> = start.drawn.iter().collect();
        assert_eq!(drawn, expected.into_iter().collect());
        assert_eq!(drawn.len(), if config.vision.hidden_size == 16 { 4 } else { 0 });
        for (name, tensor) in found.iter().filter(|(name, _)| !drawn.contains(name)) {
            assert_eq!(tensor, &stored.read(name).unwrap(), "{name}");
        }
        drawn.iter().for_each(|name| assert_eq!(found[*name].size(), [8, 8], "{name}"));
    }
}

#[test]
fn both_cross_attentions_of_a_reasoner_start_from_the_single_one_of_a_checkpoint() {
    let _alone = alone_with_the_generator();
    for task in [Task::Pretrain, Task::Filter, Task::Captioner, Task::Nlvr] {
        let folder = written(task, config());
        let mut stored = TensorFile::open(&folder.path().join("model.safetensors")).unwrap();
        let mut start = Start::open(&starting_from(folder.path()), &no_sizes()).unwrap();
        let layout = Layout::new(&parts(Task::Nlvr, config()), Sharing::None);
        let found = layout.named(&start.weights(&layout, 1).unwrap()).unwrap();
        let own = task == Task::Nlvr;
        let is_new = |name: &str| !own && (name.starts_with("cls_head.") || name.contains(".merge_layer."));
        let (drawn, new): (BTreeSet<&String>, BTreeSet<&String>) =
            (start.drawn.iter().collect(), found.keys().filter(|name| is_new(name)).collect());
        assert_eq!(drawn, new, "{task:?}");
        for (name, tensor) in found.iter().filter(|(name, _)| !drawn.contains(name)) {
            let single = match own {
                true => name.clone(),
                false => name.replace("self0", "self").replace("self1", "self").replace("dense0", "dense"),
            };
            let single = if own { single } else { single.replace("dense1", "dense") };
            let single = match task {
                Task::Captioner => single.replace("text_encoder.", "text_decoder.bert."),
                _ => single,
            };
            assert_eq!(tensor, &stored.read(&single).unwrap(), "{task:?} {name}");
        }
    }
}

#[test]
fn a_trained_reasoner_loads_from_its_folder() {
    let _alone = alone_with_the_generator();
    let folder = written(Task::Nlvr, config());
    let mut options = LoadOptions::preset(Preset::Original);
    (options.device, options.precision) = (DeviceChoice::Cpu, Precision::F32);
    let reasoner = BlipReasoner::load(folder.path(), &options).unwrap();
    let mut images = PixelBatch::with_capacity(16, 2);
    [10, 200].iter().for_each(|value| images.push(&[*value; 16 * 16 * 3]));
    let found = reasoner.probabilities(&images, &[Statement { images: [0, 1], text: "w5 w6" }]).unwrap();
    assert!(found.len() == 1 && (0.0..=1.0).contains(&found[0]), "{found:?}");
}
