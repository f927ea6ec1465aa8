//! Weights in several files, with a wrapper's names, or missing: which layouts load, and the errors of the
//! others.

use std::{fs, path::Path};

use crate::support::{folder, keys, options, pictures, texts};
use crate::torch_save::Described;
use capfilt_blip::{BlipCaptioner, BlipFilter, LoadError, Options};
use capfilt_pipeline::model::{Captioner, Filter};
use capfilt_schemas::settings::{Method, Preset};
use serde_json::{Map, json};
use tch::{Kind, Tensor};

type Named = Vec<(String, Tensor)>;

fn load(path: &Path) -> Result<BlipCaptioner, LoadError> {
    BlipCaptioner::load(
        path,
        &options(Preset::Original),
        Options::of(Preset::Original).generation(Method::Nucleus),
    )
}

fn captions(path: &Path) -> Vec<Vec<capfilt_pipeline::model::Caption>> {
    load(path).unwrap().caption(&pictures("patch16"), &keys(3), 1).unwrap()
}

fn error(path: &Path) -> String {
    load(path).err().expect("must be refused").to_string()
}

/// A model's folder without its weights, and the weights.
fn bare(part: &str) -> (tempfile::TempDir, Named) {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder("patch16", part)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "model.safetensors" {
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let weights = folder("patch16", part).join("model.safetensors");
    let mut named = if weights.is_file() { Tensor::read_safetensors(weights).unwrap() } else { Vec::new() };
    named.sort_by(|a, b| a.0.cmp(&b.0));
    (copy, named)
}

/// Two files and their index, as `save_pretrained` writes them.
fn shard(folder: &Path, named: &Named, stem: &str, ending: &str, save: impl Fn(&Path, &Named)) {
    let name = |i: usize| format!("{stem}-0000{i}-of-00002.{ending}");
    let half = named.len() / 2;
    let part = |i: usize| &named[if i == 1 { 0..half } else { half..named.len() }];
    let mut map = Map::new();
    for i in [1, 2] {
        let copies = part(i).iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        save(&folder.join(name(i)), &copies);
        part(i).iter().for_each(|(tensor, _)| drop(map.insert(tensor.clone(), name(i).into())));
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": map});
    fs::write(folder.join(format!("{stem}.{ending}.index.json")), index.to_string()).unwrap();
}

fn as_safetensors(path: &Path, named: &Named) {
    Tensor::write_safetensors(named, path).unwrap();
}

fn as_pickle(path: &Path, named: &Named) {
    crate::torch_save::save(path, named);
}

#[test]
fn weights_in_several_files_load_by_their_index() {
    let whole = captions(&folder("patch16", "captioner"));
    let (copy, named) = bare("captioner");
    shard(copy.path(), &named, "model", "safetensors", as_safetensors);
    assert_eq!(captions(copy.path()), whole);
    assert_eq!(
        captions(&copy.path().join("model.safetensors.index.json")),
        whole,
        "the index itself is named"
    );
    let (copy, named) = bare("captioner");
    shard(copy.path(), &named, "pytorch_model", "bin", as_pickle);
    assert_eq!(captions(copy.path()), whole);
    // Priority as in transformers: the one safetensors file, then its index, then pickles.
    shard(copy.path(), &named, "model", "safetensors", as_safetensors);
    fs::write(copy.path().join("pytorch_model.bin"), "nonsense").unwrap();
    assert_eq!(captions(copy.path()), whole);
    as_safetensors(&copy.path().join("model.safetensors"), &named);
    fs::write(copy.path().join("model.safetensors.index.json"), "nonsense").unwrap();
    assert_eq!(captions(copy.path()), whole);
}

#[test]
fn an_index_entry_that_is_missing_is_named() {
    let (copy, named) = bare("captioner");
    shard(copy.path(), &named, "model", "safetensors", as_safetensors);
    let index = copy.path().join("model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap();
    let second = copy.path().join("model-00002-of-00002.safetensors");
    let hidden = copy.path().join("hidden");
    fs::rename(&second, &hidden).unwrap();
    let message = error(copy.path());
    let (lost, all) = (named.len() - named.len() / 2, named.len());
    assert!(
        message.contains("names model-00002-of-00002.safetensors")
            && message.contains(&format!("{lost} of {all} tensors"))
    );
    fs::rename(&hidden, &second).unwrap();
    let (lost, kept) = (&named[named.len() - 1].0, &named[0].0);
    fs::write(&index, text.replace(&format!("{lost:?}"), "\"vision_model.nothing\"")).unwrap();
    let message = error(copy.path());
    assert!(message.contains("vision_model.nothing is in model-00002-of-00002.safetensors"), "{message}");
    // A tensor that is missing in the index is found in its file, as in transformers.
    fs::write(&index, text.replace(&format!("{kept:?}"), &format!("{lost:?}"))).unwrap();
    assert!(load(copy.path()).is_ok());
    fs::write(&index, text.replace("model-00001", "../model-00001")).unwrap();
    assert!(error(copy.path()).contains("not the name of a file beside it"));
    fs::remove_file(&index).unwrap();
    let message = error(copy.path());
    assert!(
        message.contains("it holds model-00001-of-00002.safetensors") && message.contains("index"),
        "{message}"
    );
}

#[test]
fn names_of_wrapped_models_load_as_unwrapped_ones() {
    let (whole, images) = (captions(&folder("patch16", "captioner")), pictures("patch16"));
    let (copy, named) = bare("captioner");
    for prefix in
        ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model.module.", "_orig_mod.module.model."]
    {
        let wrapped =
            named.iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor.shallow_clone())).collect();
        as_safetensors(&copy.path().join("model.safetensors"), &wrapped);
        assert_eq!(captions(copy.path()), whole, "{prefix}");
    }
    let path = folder("patch16", "filter");
    let score = |path: &Path| {
        let mut filter = BlipFilter::load(path, &options(Preset::Original)).unwrap();
        filter.score(&images, &vec![texts("patch16"); 3]).unwrap()
    };
    let (copy, named) = bare("filter");
    let inside = |name: &str| name.replacen('.', "._orig_mod.", 1);
    let wrapped = named.iter().map(|(name, tensor)| (inside(name), tensor.shallow_clone())).collect();
    as_pickle(&copy.path().join("pytorch_model.bin"), &wrapped);
    assert_eq!(score(copy.path()), score(&path));
}

#[test]
fn tensors_that_are_views_of_one_storage_load_as_if_each_had_its_own() {
    let (copy, named) = bare("captioner");
    let (mut described, mut bytes) = (Vec::new(), Vec::new());
    for (name, tensor) in &named {
        // Matrices are stored column by column, as transposed views are.
        let is_matrix = tensor.dim() == 2;
        let laid = if is_matrix { tensor.transpose(0, 1) } else { tensor.shallow_clone() };
        let laid = laid.to_kind(Kind::Float).contiguous();
        let stride = if is_matrix { vec![1, tensor.size()[0]] } else { laid.stride() };
        let offset = bytes.len() as i64 / 4;
        described.push(Described {
            name: name.clone(),
            storage: "0".into(),
            offset,
            size: tensor.size(),
            stride,
        });
        let mut part = vec![0; laid.numel() * 4];
        laid.copy_data_u8(&mut part, laid.numel());
        bytes.extend(part);
    }
    let path = copy.path().join("pytorch_model.bin");
    crate::torch_save::archive(&path, &crate::torch_save::pickle(&described), &[("0".into(), bytes)]);
    assert_eq!(captions(copy.path()), captions(&folder("patch16", "captioner")));
}

#[test]
fn what_lies_in_the_place_of_weights_is_named() {
    let (copy, _) = bare("captioner");
    let path = copy.path().join("model.safetensors");
    for (content, expected) in [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 989820849\n", "Git LFS pointer"),
        ("<!DOCTYPE html><html>", "a page of HTML"),
        ("", "not even a header"),
    ] {
        fs::write(&path, content).unwrap();
        let error = error(copy.path());
        assert!(error.contains(expected) && error.contains("model.safetensors"), "{error}");
    }
    fs::remove_file(&path).unwrap();
    for name in ["model.pt", "tf_model.h5"] {
        fs::write(copy.path().join(name), "x").unwrap();
    }
    let message = error(copy.path());
    assert!(
        message.contains("it holds model.pt, tf_model.h5") && message.contains("given itself"),
        "{message}"
    );
    // The same for the small files.
    let (copy, named) = bare("captioner");
    as_safetensors(&copy.path().join("model.safetensors"), &named);
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 711396\n";
    fs::write(copy.path().join("tokenizer.json"), pointer).unwrap();
    let message = error(copy.path());
    assert!(message.contains("tokenizer.json: a Git LFS pointer"), "{message}");
}

#[test]
fn hugging_face_s_names_without_a_config_are_refused_and_not_guessed_at() {
    for part in ["captioner", "captioner-bin"] {
        let (copy, named) = bare(part);
        if part == "captioner" {
            as_safetensors(&copy.path().join("model.safetensors"), &named);
        }
        fs::remove_file(copy.path().join("config.json")).unwrap();
        let message = error(copy.path());
        assert!(message.contains("no config.json") && message.contains("heads"), "{part}: {message}");
    }
}
