//! Damaged and hostile checkpoints are refused when they are loaded, at once, with the name of the fault.
//! `tests/checkpoints.rs` of the program bounds the memory.

use std::{fs, path::Path, time::Instant};

use crate::support::{folder, options};
use crate::torch_save::Described;
use capfilt_blip::{BlipCaptioner, BlipFilter, Options};
use capfilt_schemas::settings::{Method, Preset};
use serde_json::{Value, json};

fn copy(part: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder("patch16", part)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Changes a JSON file of a folder.
fn change(folder: &Path, file: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(file);
    let mut value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
}

/// Error of loading a filter, or a captioner, within seconds.
fn refused(path: &Path, captioner: bool) -> String {
    let started = Instant::now();
    let generation = Options::of(Preset::Original).generation(Method::Nucleus);
    let error = match captioner {
        true => BlipCaptioner::load(path, &options(Preset::Original), generation).err(),
        false => BlipFilter::load(path, &options(Preset::Original)).err(),
    };
    let message = format!("{:?} {}", error, error.as_ref().expect("must be refused"));
    assert!(started.elapsed().as_secs() < 10, "{message}");
    message
}

#[test]
fn special_ids_that_are_not_the_tokenizer_s_are_refused_at_load() {
    // The vocabulary has 124 tokens, and the model has two more ids.
    for (key, value, expected) in [
        ("sep_token_id", 1_000_000, "sep_token_id of text_config is 1000000, but [SEP] is 3"),
        ("sep_token_id", 102, "sep_token_id of text_config is 102"),
        ("sep_token_id", -1, "sep_token_id of text_config is -1"),
        ("pad_token_id", 5, "pad_token_id of text_config is 5, but [PAD] is 0"),
        ("bos_token_id", 126, "bos_token_id of text_config is 126, but the model knows 126 ids"),
        ("bos_token_id", 2, "bos_token_id of text_config is 2, which is \"[CLS]\""),
    ] {
        for part in ["captioner", "filter"] {
            let copy = copy(part);
            change(copy.path(), "config.json", |config| config["text_config"][key] = value.into());
            let error = refused(copy.path(), part == "captioner");
            assert!(error.contains(expected) && error.contains("config.json"), "{part}: {error}");
        }
    }
    // Values that are wrong in published files, and not read, are accepted.
    let copy = copy("filter");
    change(copy.path(), "config.json", |config| config["text_config"]["eos_token_id"] = 77.into());
    assert!(BlipFilter::load(copy.path(), &options(Preset::Original)).is_ok());
}

#[test]
fn a_word_whose_id_is_beyond_the_model_is_named_at_load() {
    for (change_vocabulary, expected) in [
        ((|words| words["dog"] = 4_000_000.into()) as fn(&mut Value), "\"dog\" has the id 4000000"),
        (|words| words["dog"] = 126.into(), "\"dog\" has the id 126, but the model knows 126 ids"),
        (|words| words["[SEP]"] = 2.into(), "do not have an id each"),
    ] {
        let copy = copy("filter");
        change(copy.path(), "tokenizer.json", |file| {
            file["added_tokens"] = json!([]);
            change_vocabulary(&mut file["model"]["vocab"]);
        });
        let error = refused(copy.path(), false);
        assert!(error.contains(expected), "{error}");
    }
    // The last id is that of [ENC], the first token of the filter's texts.
    let copy = copy("filter");
    change(copy.path(), "tokenizer.json", |file| file["model"]["vocab"]["another"] = 125.into());
    let error = refused(copy.path(), false);
    assert!(error.contains("125") && error.contains("another") && error.contains("[ENC]"), "{error}");
}

#[test]
fn a_tokenizer_that_is_not_bert_s_is_refused_with_the_step_that_differs() {
    for (change_file, expected) in [
        ((|file| file["model"]["unk_token"] = "nope".into()) as fn(&mut Value), "become \"nope\""),
        (|file| file["model"]["vocab"] = json!({}), "become \"[UNK]\""),
        (|file| file["model"]["continuing_subword_prefix"] = "@@".into(), "\"@@\""),
        (|file| file["model"]["max_input_chars_per_word"] = 1_000_000.into(), "max_input_chars_per_word"),
        (|file| file["normalizer"] = json!({"type": "Prepend", "prepend": "x"}), "Prepend"),
        (|file| file["pre_tokenizer"] = json!({"type": "ByteLevel"}), "ByteLevel"),
        (
            |file| {
                let step =
                    json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(1000)});
                file["normalizer"] = json!({"type": "Sequence", "normalizers": [step, step, step, step]});
            },
            "1000000000000 times as long",
        ),
        (
            |file| {
                let pattern = json!({"Regex": "(a+)+$|((a*)*)*b"});
                file["pre_tokenizer"] =
                    json!({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false});
            },
            "Split",
        ),
        (
            |file| {
                let token = |i| json!({"id": i, "content": format!("z{i}"), "special": false});
                file["added_tokens"] = (0..20_000).map(token).collect();
            },
            "20000 added tokens",
        ),
    ] {
        let copy = copy("filter");
        change(copy.path(), "tokenizer.json", change_file);
        let error = refused(copy.path(), false);
        assert!(error.contains(expected) && error.contains("tokenizer.json"), "{error}");
    }
}

#[test]
fn a_vocabulary_without_a_special_token_is_refused_and_not_filled_up() {
    for (lost, expected) in [("[CLS]", "no [CLS]"), ("[UNK]", "become \"[UNK]\""), ("[PAD]", "no [PAD]")] {
        let copy = copy("filter");
        fs::remove_file(copy.path().join("tokenizer.json")).unwrap();
        let path = copy.path().join("vocab.txt");
        fs::write(&path, fs::read_to_string(&path).unwrap().replace(&format!("{lost}\n"), "instead\n"))
            .unwrap();
        let error = refused(copy.path(), false);
        assert!(error.contains(expected) && error.contains("vocab.txt"), "{error}");
    }
}

#[test]
fn tensors_that_repeat_their_storage_or_leave_it_are_refused_before_they_are_read() {
    let name = "visual_encoder.cls_token".to_string();
    let view = |size: &[i64], stride: &[i64], offset| Described {
        name: name.clone(),
        storage: "0".into(),
        offset,
        size: size.to_vec(),
        stride: stride.to_vec(),
    };
    let many =
        |n: i64| (0..n).map(|i| Described { name: format!("x{i}"), ..view(&[1000], &[1], 0) }).collect();
    let elsewhere = Described { storage: "../../etc/passwd".into(), ..view(&[1], &[1], 0) };
    let cases: [(Vec<Described>, &str); 7] = [
        (vec![view(&[5_000_000_000], &[0], 0)], "repeats the 1 elements"),
        (vec![view(&[1_000_000_000, 1_000_000_000], &[0, 0], 0)], "repeats the 1 elements"),
        (vec![view(&[i64::MAX, i64::MAX], &[0, 0], 0)], "out of range"),
        (vec![view(&[1001], &[1], 0)], "too short"),
        (vec![view(&[1], &[1], i64::MAX)], "too short"),
        (vec![elsewhere], "not in the archive"),
        (many(2000), "views of each other"),
    ];
    for (tensors, expected) in cases {
        let copy = copy("filter-original");
        let path = copy.path().join("model_base_retrieval.pth");
        crate::torch_save::archive(
            &path,
            &crate::torch_save::pickle(&tensors),
            &[("0".into(), vec![0; 4000])],
        );
        let error = refused(copy.path(), false);
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn a_compressed_entry_is_refused_for_any_unpacked_length() {
    for entry in ["archive/data.pkl", "archive/data/0"] {
        let copy = copy("filter-original");
        let path = copy.path().join("model_base_retrieval.pth");
        let tensor = Described {
            name: "visual_encoder.cls_token".into(),
            storage: "0".into(),
            offset: 0,
            size: vec![1000],
            stride: vec![1],
        };
        crate::torch_save::archive(
            &path,
            &crate::torch_save::pickle(&[tensor]),
            &[("0".into(), vec![0; 4000])],
        );
        let mut bytes = fs::read(&path).unwrap();
        // The compression method is 20 bytes before a name in the entry's header, and 36 in the archive's
        // directory.
        let named: Vec<usize> = (0..bytes.len() - entry.len())
            .filter(|at| bytes[*at..].starts_with(entry.as_bytes()))
            .filter(|at| {
                bytes[at - 30..].starts_with(b"PK\x03\x04") || bytes[at - 46..].starts_with(b"PK\x01\x02")
            })
            .collect();
        assert_eq!(named.len(), 2);
        for at in named {
            let method = if bytes[at - 30..].starts_with(b"PK\x03\x04") { at - 22 } else { at - 36 };
            bytes[method] = 8;
        }
        fs::write(&path, bytes).unwrap();
        let error = refused(copy.path(), false);
        assert!(error.contains("compressed"), "{entry}: {error}");
    }
}

#[test]
fn a_size_of_the_config_that_the_weights_do_not_have_costs_no_memory() {
    let copy = copy("filter");
    change(copy.path(), "config.json", |config| {
        for tower in ["vision_config", "text_config"] {
            config[tower]["hidden_size"] = (1 << 24).into();
            config[tower]["intermediate_size"] = (1 << 24).into();
            config[tower]["num_attention_heads"] = 1.into();
        }
        config["text_config"]["encoder_hidden_size"] = (1 << 24).into();
    });
    let error = refused(copy.path(), false);
    assert!(error.contains("of another shape"), "{error}");
}
