//! Every file format gives the same model; a file that does not fit is refused with a reason.

use std::{collections::HashMap, fs, path::Path};

use crate::support::{assert_close, expected, folder, keys, options, pictures, texts};
use capfilt_blip::{
    BlipCaptioner, BlipFilter, LoadError, Options, config::MedConfig, role::Role, vit::interpolate_positions,
    weights::WeightStore,
};
use capfilt_pipeline::model::{Captioner, Filter};
use capfilt_schemas::settings::{Method, Preset};
use tch::{Device, Kind};

fn load_captioner(path: &Path) -> Result<BlipCaptioner, LoadError> {
    BlipCaptioner::load(
        path,
        &options(Preset::Original),
        Options::of(Preset::Original).generation(Method::Nucleus),
    )
}

fn load_filter(path: &Path) -> Result<BlipFilter, LoadError> {
    BlipFilter::load(path, &options(Preset::Original))
}

fn captioner_error(path: &Path) -> String {
    load_captioner(path).err().expect("must be refused").to_string()
}

/// A copy of a golden folder that a test may damage.
fn copy(part: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder("patch16", part)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Rewrites the safetensors file of a folder with missing or changed tensors.
fn rewrite(folder: &Path, change: impl Fn(&str, tch::Tensor) -> Option<tch::Tensor>) {
    let path = folder.join("model.safetensors");
    let tensors = tch::Tensor::read_safetensors(&path).unwrap();
    let changed: Vec<_> =
        tensors.into_iter().filter_map(|(name, tensor)| change(&name, tensor).map(|t| (name, t))).collect();
    tch::Tensor::write_safetensors(&changed, &path).unwrap();
}

#[test]
fn safetensors_bin_and_original_pth_give_equal_captions() {
    let images = pictures("patch16");
    let caption =
        |part: &str| load_captioner(&folder("patch16", part)).unwrap().caption(&images, &keys(3), 2).unwrap();
    let safetensors = caption("captioner");
    assert_eq!(safetensors, caption("captioner-bin"));
    assert_eq!(safetensors, caption("captioner-original"));
}

#[test]
fn safetensors_and_original_pth_give_equal_scores() {
    let images = pictures("patch16");
    let score = |part: &str| {
        load_filter(&folder("patch16", part)).unwrap().score(&images, &vec![texts("patch16"); 3]).unwrap()
    };
    assert_eq!(score("filter"), score("filter-original"));
}

#[test]
fn a_pth_can_be_named_itself() {
    let folder = folder("patch16", "filter-original");
    let by_folder = load_filter(&folder).unwrap().config().clone();
    assert_eq!(load_filter(&folder.join("model_base_retrieval.pth")).unwrap().config(), &by_folder);
}

#[test]
fn sizes_of_an_original_checkpoint_come_from_its_shapes() {
    let (d, layers) = (128, 2);
    let mut shapes: HashMap<String, Vec<i64>> = [
        ("vision_model.embeddings.patch_embedding.weight", vec![192, 3, 16, 16]),
        ("vision_model.embeddings.position_embedding", vec![1, 1 + 24 * 24, 192]),
        ("text_encoder.embeddings.word_embeddings.weight", vec![30524, d]),
        ("text_encoder.embeddings.position_embeddings.weight", vec![512, d]),
        ("vision_proj.weight", vec![64, 192]),
    ]
    .map(|(name, shape)| (name.to_string(), shape))
    .into();
    for i in 0..layers {
        shapes.insert(format!("vision_model.encoder.layers.{i}.mlp.fc1.weight"), vec![768, 192]);
        shapes.insert(format!("text_encoder.encoder.layer.{i}.intermediate.dense.weight"), vec![512, d]);
    }
    let found = MedConfig::from_shapes(&shapes).unwrap();
    assert_eq!((found.vision.num_attention_heads, found.text.num_attention_heads), (3, 2));
    assert_eq!(
        (found.vision.image_size, found.vision.patch_size, found.vision.num_hidden_layers),
        (384, 16, layers)
    );
    assert_eq!((found.text.vocab_size, found.text.bos_token_id, found.projection), (30524, 30522, 64));
}

#[test]
fn an_original_checkpoint_whose_heads_nobody_can_tell_is_refused_without_config() {
    let copy = copy("filter-original");
    fs::remove_file(copy.path().join("config.json")).unwrap();
    let error = load_filter(copy.path()).err().expect("must be refused").to_string();
    assert!(error.contains("no config.json") && error.contains("24 wide"), "{error}");
}

#[test]
fn vocab_txt_gives_the_same_tokens_as_tokenizer_json() {
    let copy = copy("filter");
    fs::remove_file(copy.path().join("tokenizer.json")).unwrap();
    let (a, b) = (load_filter(copy.path()).unwrap(), load_filter(&folder("patch16", "filter")).unwrap());
    for text in
        texts("patch16").iter().map(String::as_str).chain(["[SEP] dog [UNK]", "ÉTÉ 狗 dog's", "\u{0}x\ty"])
    {
        assert_eq!(a.tokens().encode(text, 35).unwrap(), b.tokens().encode(text, 35).unwrap(), "{text:?}");
    }
}

#[test]
fn a_filter_is_not_taken_for_a_captioner_nor_the_other_way_round() {
    let error = captioner_error(&folder("patch16", "filter"));
    assert!(error.contains("missing") && error.contains("is this a filter checkpoint?"), "{error}");
    let error = load_filter(&folder("patch16", "captioner")).err().unwrap().to_string();
    assert!(error.contains("is this a captioner checkpoint?"), "{error}");
}

#[test]
fn missing_misshapen_and_unexpected_tensors_are_named() {
    let copy = copy("captioner");
    rewrite(copy.path(), |name, tensor| match name {
        "vision_model.post_layernorm.bias" => None,
        "text_decoder.bert.encoder.layer.0.output.dense.bias" => Some(tensor.narrow(0, 0, 3)),
        _ => Some(tensor),
    });
    let error = captioner_error(copy.path());
    assert!(error.contains("1 tensor missing (first: vision_model.post_layernorm.bias)"), "{error}");
    assert!(error.contains("output.dense.bias is [3], expected [32]"), "{error}");
}

#[test]
fn a_config_of_another_depth_is_refused() {
    let copy = copy("captioner");
    let path = copy.path().join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config["vision_config"]["num_hidden_layers"] = 1.into();
    fs::write(&path, config.to_string()).unwrap();
    let error = captioner_error(copy.path());
    assert!(
        error.contains("unexpected") && error.contains("does config.json belong to these weights?"),
        "{error}"
    );
}

#[test]
fn a_file_cut_off_anywhere_is_an_error_and_never_a_panic() {
    for (part, file) in [
        ("captioner", "model.safetensors"),
        ("captioner-bin", "pytorch_model.bin"),
        ("captioner-original", "model_base_caption.pth"),
    ] {
        let copy = copy(part);
        let path = copy.path().join(file);
        let whole = fs::read(&path).unwrap();
        for keep in [0, 1, 5, 100, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..keep]).unwrap();
            let error = captioner_error(copy.path());
            assert!(error.contains(file), "{file} at {keep}: {error}");
        }
    }
}

#[test]
fn damaged_bytes_in_a_pickle_never_panic() {
    let copy = copy("captioner-bin");
    let path = copy.path().join("pytorch_model.bin");
    let whole = fs::read(&path).unwrap();
    let pickle = whole.windows(8).position(|window| window == b"data.pkl").unwrap();
    for i in 0..60 {
        let mut bytes = whole.clone();
        // Damage in the first instructions: the archive's checksum detects most of it, the reader the rest.
        bytes[pickle + 8 + i * 13] ^= 1 << (i % 8);
        fs::write(&path, &bytes).unwrap();
        let _ = load_captioner(copy.path());
    }
}

#[test]
fn the_error_for_an_empty_folder_names_the_missing_files() {
    let empty = tempfile::tempdir().unwrap();
    let error = captioner_error(empty.path());
    assert!(error.contains("no weights (model.safetensors"), "{error}");
    let copy = copy("captioner");
    fs::remove_file(copy.path().join("tokenizer.json")).unwrap();
    let _ = fs::remove_file(copy.path().join("vocab.txt"));
    let error = captioner_error(copy.path());
    assert!(error.contains("no tokenizer"), "{error}");
}

#[test]
fn options_the_model_cannot_follow_are_refused() {
    let path = folder("patch16", "captioner");
    let refuse = |change: fn(&mut capfilt_blip::GenerationOptions)| {
        let mut generation = Options::of(Preset::Original).generation(Method::Nucleus);
        change(&mut generation);
        BlipCaptioner::load(&path, &options(Preset::Original), generation)
            .err()
            .expect("must be refused")
            .to_string()
    };
    assert!(refuse(|g| g.max_length = 4).contains("the prompt take 4 ids already"));
    assert!(refuse(|g| g.max_length = 400).contains("positions"));
    assert!(refuse(|g| g.top_p = 0.0).contains("top_p is 0"));
    assert!(refuse(|g| (g.method, g.beams) = (Method::Beam, 0)).contains("beams is 0"));
}

#[test]
fn position_tables_are_stretched_as_torch_stretches_them() {
    for (case, grid) in [("patch16", 6), ("patch8", 8)] {
        let wanted = expected(case, "position.large");
        let tensors = [("table".to_string(), expected(case, "position.small"))].into();
        let store = WeightStore::new(Role::Filter, tensors, Vec::new(), Device::Cpu, Kind::Float);
        interpolate_positions(&store, "table", grid).unwrap();
        assert_close(&store.root().take("table", &wanted.size()), &wanted, 1e-5, case);
    }
}

#[test]
fn another_image_size_loads_when_it_is_asked_for() {
    let mut options = options(Preset::Original);
    options.image_size = Some(96);
    // The model for 64 pixels in patches of 8, with pictures of 96 pixels.
    let filter = BlipFilter::load(&folder("patch8", "filter"), &options).unwrap();
    assert_eq!(filter.images().states(&pictures("patch16")).unwrap().size(), [3, 1 + 12 * 12, 32]);
    options.image_size = Some(100);
    let error = BlipFilter::load(&folder("patch8", "filter"), &options).err().unwrap().to_string();
    assert!(error.contains("100") && error.contains('8'), "{error}");
}

#[test]
fn narrower_precisions_score_nearly_the_same() {
    let images = pictures("patch16");
    let texts = vec![texts("patch16"); 3];
    let exact = load_filter(&folder("patch16", "filter")).unwrap().score(&images, &texts).unwrap();
    for precision in ["bf16", "f16", "int8"] {
        if precision == "int8" && !capfilt_kernels::supported() {
            continue; // refused, see below
        }
        let mut options = options(Preset::Original);
        options.precision = precision.parse().unwrap();
        let half =
            BlipFilter::load(&folder("patch16", "filter"), &options).unwrap().score(&images, &texts).unwrap();
        for (a, b) in exact.iter().flatten().zip(half.iter().flatten()) {
            assert!((a.itm - b.itm).abs() < 0.1 && (a.itc - b.itc).abs() < 0.1, "{precision}: {a:?} {b:?}");
        }
    }
}

#[test]
fn eight_bits_are_refused_where_the_machine_cannot_multiply_them() {
    let mut options = options(Preset::Original);
    options.precision = "int8".parse().unwrap();
    let found = BlipFilter::load(&folder("patch16", "filter"), &options);
    if capfilt_kernels::supported() {
        let chosen = found.unwrap();
        assert_eq!(chosen.images().precision.name(), "int8");
        return;
    }
    let error = found.err().unwrap().to_string();
    assert!(error.contains("int8") && error.contains("AVX512-VNNI") && error.contains("bf16"), "{error}");
}
