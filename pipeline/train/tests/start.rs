//! MED initialised from a ViT's and a BERT's weights (BLIP, section 3.1).

use crate::support::alone_with_the_generator;
use capfilt_blip::names::original_name;
use capfilt_schemas::settings::train::{Model, Sharing, Sizes};
use capfilt_train::{Attends, Layout, Parts, Start};
use std::path::Path;
use tch::{Device, Kind, Tensor};

const WORDS: i64 = 24;

fn sizes() -> Sizes {
    Sizes {
        image_size: 32,
        patch_size: 8,
        vision_width: 8,
        vision_layers: 2,
        vision_heads: 2,
        text_width: 8,
        text_layers: 2,
        text_heads: 2,
        positions: 12,
        projection: 4,
    }
}

fn model(folder: &Path) -> Model {
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).into_iter();
    let words: Vec<String> = words.chain((5..WORDS - 2).map(|i| format!("w{i}"))).collect();
    std::fs::write(folder.join("vocab.txt"), words.join("\n")).unwrap();
    Model {
        from: String::new(),
        vocabulary: folder.display().to_string(),
        vision_weights: folder.join("deit.safetensors").display().to_string(),
        text_weights: folder.join("bert.safetensors").display().to_string(),
        image_size: 0,
        waves: 0.0,
        sharing: Sharing::AllButSa,
        dropout: 0.0,
        drop_path: 0.0,
        checkpoint_blocks: false,
    }
}

fn random(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// A ViT with timm's names, for images of 16 px.
fn deit(width: i64) -> Vec<(String, Tensor)> {
    let mut all = vec![
        ("cls_token".to_owned(), random(&[1, 1, width])),
        ("pos_embed".to_owned(), random(&[1, 5, width])),
        ("patch_embed.proj.weight".to_owned(), random(&[width, 3, 8, 8])),
        ("patch_embed.proj.bias".to_owned(), random(&[width])),
        ("norm.weight".to_owned(), random(&[width])),
        ("norm.bias".to_owned(), random(&[width])),
        ("head.weight".to_owned(), random(&[1000, width])),
    ];
    for i in 0..2 {
        for (name, out, into) in
            [("attn.qkv", 3, 1), ("attn.proj", 1, 1), ("mlp.fc1", 4, 1), ("mlp.fc2", 1, 4)]
        {
            all.push((format!("blocks.{i}.{name}.weight"), random(&[out * width, into * width])));
            all.push((format!("blocks.{i}.{name}.bias"), random(&[out * width])));
        }
        for name in ["norm1.weight", "norm1.bias", "norm2.weight", "norm2.bias"] {
            all.push((format!("blocks.{i}.{name}"), random(&[width])));
        }
    }
    all
}

/// A BERT with Google's names: no cross-attention, and without the two ids that BLIP adds.
fn bert() -> Vec<(String, Tensor)> {
    let mut all = vec![
        ("bert.embeddings.word_embeddings.weight".to_owned(), random(&[WORDS - 2, 8])),
        ("bert.embeddings.position_embeddings.weight".to_owned(), random(&[12, 8])),
        ("bert.embeddings.LayerNorm.gamma".to_owned(), random(&[8])),
        ("bert.embeddings.LayerNorm.beta".to_owned(), random(&[8])),
        ("cls.predictions.bias".to_owned(), random(&[WORDS - 2])),
    ];
    for i in 0..2 {
        let layer = format!("bert.encoder.layer.{i}");
        for part in
            ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
        {
            all.push((format!("{layer}.{part}.weight"), random(&[8, 8])));
            all.push((format!("{layer}.{part}.bias"), random(&[8])));
        }
        all.push((format!("{layer}.intermediate.dense.weight"), random(&[32, 8])));
        all.push((format!("{layer}.intermediate.dense.bias"), random(&[32])));
        all.push((format!("{layer}.output.dense.weight"), random(&[8, 32])));
        all.push((format!("{layer}.output.dense.bias"), random(&[8])));
        for norm in ["attention.output.LayerNorm", "output.LayerNorm"] {
            all.push((format!("{layer}.{norm}.gamma"), random(&[8])));
            all.push((format!("{layer}.{norm}.beta"), random(&[8])));
        }
    }
    all
}

fn save(tensors: &[(String, Tensor)], path: &str) {
    let named: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    Tensor::write_safetensors(&named, path).unwrap();
}

fn layout(start: &Start) -> Layout {
    let config = start.config.clone();
    let parts = Parts {
        config,
        encoder: true,
        contrast: true,
        matching: true,
        reasoner: false,
        decoder: Some(Attends::ToImage),
        dropout: 0.0,
        drop_path: 0.0,
    };
    Layout::new(&parts, Sharing::AllButSa)
}

#[test]
fn every_tensor_of_a_vit_and_a_bert_is_where_it_belongs() {
    let _alone = alone_with_the_generator();
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    tch::manual_seed(5);
    let (deit, bert) = (deit(8), bert());
    save(&deit, &model.vision_weights);
    save(&bert, &model.text_weights);
    let mut start = Start::open(&model, &sizes()).unwrap();
    let layout = layout(&start);
    let weights = start.weights(&layout, 1).unwrap();
    let named = layout.named(&weights).unwrap();
    let vision =
        |name: &str| deit.iter().find(|(stored, _)| stored == name).map(|(_, tensor)| tensor).unwrap();
    let text = |name: &str| bert.iter().find(|(stored, _)| stored == name).map(|(_, tensor)| tensor).unwrap();
    for (ours, theirs) in [
        ("vision_model.embeddings.class_embedding", vision("cls_token")),
        ("vision_model.embeddings.patch_embedding.weight", vision("patch_embed.proj.weight")),
        ("vision_model.post_layernorm.bias", vision("norm.bias")),
        ("vision_model.encoder.layers.1.self_attn.qkv.weight", vision("blocks.1.attn.qkv.weight")),
        ("vision_model.encoder.layers.0.self_attn.projection.bias", vision("blocks.0.attn.proj.bias")),
        ("vision_model.encoder.layers.1.layer_norm2.weight", vision("blocks.1.norm2.weight")),
        ("vision_model.encoder.layers.0.mlp.fc2.weight", vision("blocks.0.mlp.fc2.weight")),
        ("text_encoder.embeddings.LayerNorm.weight", text("bert.embeddings.LayerNorm.gamma")),
        (
            "text_encoder.encoder.layer.1.output.dense.weight",
            text("bert.encoder.layer.1.output.dense.weight"),
        ),
    ] {
        assert_eq!(&named[ours], theirs, "{ours}");
    }
    // Both towers start with BERT's self-attention, without sharing it.
    for tower in ["text_encoder", "text_decoder.bert"] {
        for (part, stored) in
            [("self.key.weight", "self.key.weight"), ("output.LayerNorm.bias", "output.LayerNorm.beta")]
        {
            let theirs = text(&format!("bert.encoder.layer.0.attention.{stored}"));
            assert_eq!(
                &named[&format!("{tower}.encoder.layer.0.attention.{part}")],
                theirs,
                "{tower} {part}"
            );
        }
    }
    // The two ids that BLIP adds are random, the remaining ones BERT's.
    let words = &named["text_encoder.embeddings.word_embeddings.weight"];
    assert_eq!(&words.narrow(0, 0, WORDS - 2), text("bert.embeddings.word_embeddings.weight"));
    assert!(words.narrow(0, WORDS - 2, 2).abs().max().double_value(&[]) > 0.0);
    // 2 × 2 positions become 4 × 4; an inner one is interpolated between four.
    let positions = &named["vision_model.embeddings.position_embedding"];
    assert_eq!(positions.size(), [1, 17, 8]);
    assert_eq!(positions.narrow(1, 0, 1), vision("pos_embed").narrow(1, 0, 1));
    // BERT has no cross-attention: its tensors are random, from the seed.
    let cross = "text_encoder.encoder.layer.0.crossattention.self.query.weight";
    let again = |seed| Start::open(&model, &sizes()).unwrap().weights(&layout, seed).unwrap();
    assert_eq!(named[cross], layout.named(&again(1)).unwrap()[cross]);
    assert_ne!(named[cross], layout.named(&again(2)).unwrap()[cross]);
}

#[test]
fn a_blip_s_vision_tower_initialises_another_under_any_of_its_names() {
    let _alone = alone_with_the_generator();
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    tch::manual_seed(6);
    save(&deit(8), &model.vision_weights);
    save(&bert(), &model.text_weights);
    let mut start = Start::open(&model, &sizes()).unwrap();
    let layout = layout(&start);
    let first = layout.named(&start.weights(&layout, 1).unwrap()).unwrap();
    let behind_a_wrapper = |name: &str| format!("module._orig_mod.{}", original_name(name));
    for names in [str::to_owned as fn(&str) -> String, original_name, behind_a_wrapper] {
        let stored: Vec<_> =
            first.iter().map(|(name, tensor)| (names(name), tensor.shallow_clone())).collect();
        save(&stored, &model.vision_weights);
        let second = Start::open(&model, &sizes()).unwrap().weights(&layout, 2).unwrap();
        let second = layout.named(&second).unwrap();
        for (name, tensor) in first.iter().filter(|(name, _)| name.starts_with("vision_model.")) {
            assert_eq!(&second[name], tensor, "{name}");
        }
        // Tensors outside the vision tower do not come from that checkpoint.
        let cross = "text_encoder.encoder.layer.0.crossattention.self.key.weight";
        assert_ne!(second[cross], first[cross]);
    }
}

#[test]
fn weights_of_other_widths_are_refused_with_both_shapes() {
    let _alone = alone_with_the_generator();
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    save(&deit(16), &model.vision_weights);
    save(&bert(), &model.text_weights);
    let mut start = Start::open(&model, &sizes()).unwrap();
    let layout = layout(&start);
    let error = start.weights(&layout, 1).unwrap_err().to_string();
    assert!(error.contains("vision_model.") && error.contains("16") && error.contains("expected"), "{error}");
}

#[test]
fn waves_are_added_to_the_places_and_to_nothing_else() {
    let _alone = alone_with_the_generator();
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    save(&deit(8), &model.vision_weights);
    save(&bert(), &model.text_weights);
    let layout = layout(&Start::open(&model, &sizes()).unwrap());
    let weights = |waves| {
        let model = Model { waves, ..model.clone() };
        Start::open(&model, &sizes()).unwrap().weights(&layout, 1).unwrap()
    };
    let (plain, wavy) = (weights(0.0), weights(0.5));
    let added = wavy - &plain;
    let places = layout.named(&added).unwrap().remove("vision_model.embeddings.position_embedding").unwrap();
    let changed = |tensor: &Tensor| tensor.ne(0.0).sum(Kind::Int64).int64_value(&[]);
    assert_eq!(changed(&added), changed(&places));
    // For a grid of 4 × 4 patches and a width of 8: one, two and three half periods, and one again; rows,
    // then columns.
    let of =
        |place: f64| [1.0, 2.0, 3.0, 1.0].map(|k| (std::f64::consts::PI * k * (place + 0.5) / 4.0).cos());
    let expected: Vec<f64> = [of(1.0), of(2.0)].concat(); // row 1, column 2
    let difference = places.get(0).get(1 + 4 + 2) - Tensor::from_slice(&expected) * 0.5;
    assert!(difference.abs().max().double_value(&[]) < 1e-6, "rounding of f32 numbers near 2");
    let sum = places.get(0).sum_dim_intlist(0i64, false, Kind::Float).abs().max().double_value(&[]);
    assert!(sum < 1e-5, "{sum}: they sum up to nothing, but for the rounding of 16 numbers near 2");
}
