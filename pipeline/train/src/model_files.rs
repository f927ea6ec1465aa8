//! Files of a trained model: Hugging Face's layout and names, also after pre-training.
//!
//! No class of transformers has all tensors of pre-training. The folder loads as `BlipForImageTextRetrieval`,
//! which the config names, and as `BlipForConditionalGeneration`. Each class finds all its tensors, and
//! reports those of the other text tower, and the temperature, as unexpected. `BlipForQuestionAnswering` has
//! an image encoder of the text's width in transformers; `capfilt answer` loads any widths. The reasoner
//! about pairs of images has no class in transformers; `capfilt eval nlvr` loads it.

use std::{collections::HashMap, fs, path::Path};

use capfilt_blip::{config::MedConfig, preprocess::Normalisation};
use capfilt_schemas::settings::train::Task;
use serde_json::{Value, json};
use tch::{Kind, TchError, Tensor};

use crate::{
    error::TrainError,
    lineage::{LINEAGE, Lineage},
    parameters::Parameters,
    tensors,
};

/// Files of a tokenizer that are copied if they exist.
const TOKENIZER: [&str; 4] =
    ["tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json"];

/// Description of a model besides its weights.
pub struct Description<'a> {
    /// Task of the training run.
    pub task: Task,
    /// Sizes of the model.
    pub config: &'a MedConfig,
    /// Normalisation of the pixels.
    pub normalisation: &'a Normalisation,
    /// Path of the tokenizer's file.
    pub tokenizer: &'a Path,
    /// Lineage of the model.
    pub lineage: &'a Lineage,
    /// Label smoothing of the language model.
    pub label_smoothing: f64,
}

/// Writes a model into an existing folder.
///
/// # Errors
/// Names the file that cannot be written.
pub fn write(
    folder: &Path,
    parameters: &Parameters,
    kind: Kind,
    about: &Description<'_>,
) -> Result<(), TrainError> {
    let named = tch::no_grad(|| weights(parameters, about.task, kind))?;
    let lineage = serde_json::to_string(about.lineage).map_err(|error| text_error(folder, &error))?;
    let notes = HashMap::from([("format".to_owned(), "pt".to_owned()), (LINEAGE.to_owned(), lineage)]);
    tensors::write(&folder.join("model.safetensors"), &named, notes)?;
    write_json(&folder.join("config.json"), &config(about, kind))?;
    write_json(&folder.join("preprocessor_config.json"), &preprocessor(about))?;
    if about.task == Task::Captioner {
        write_json(&folder.join("generation_config.json"), &generation(about.config))?;
    }
    for name in TOKENIZER {
        let (from, to) = (about.tokenizer.join(name), folder.join(name));
        if from.is_file() {
            fs::copy(&from, &to).map_err(|source| TrainError::Io {
                what: "copy a file to",
                path: to,
                source,
            })?;
        }
    }
    Ok(())
}

/// The weights with their names in the file.
fn weights(parameters: &Parameters, task: Task, kind: Kind) -> Result<Vec<(String, Tensor)>, TchError> {
    let vector = parameters.vector().f_detach()?;
    let mut named: Vec<(String, Tensor)> = parameters.layout.named(&vector)?.into_iter().collect();
    if task == Task::Pretrain {
        named.push(("temp".to_owned(), vector.f_narrow(0, 0, 1)?.f_squeeze()?));
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    named.into_iter().map(|(name, tensor)| Ok((name, tensor.f_to_kind(kind)?))).collect()
}

/// Class of transformers that a model of this task is; of the reasoner, which transformers does not have, the
/// class of the published code.
fn architecture(task: Task) -> &'static str {
    match task {
        Task::Pretrain | Task::Filter => "BlipForImageTextRetrieval",
        Task::Captioner => "BlipForConditionalGeneration",
        Task::Vqa => "BlipForQuestionAnswering",
        Task::Nlvr => "BLIP_NLVR",
    }
}

fn config(about: &Description<'_>, kind: Kind) -> Value {
    let (vision, text) = (&about.config.vision, &about.config.text);
    let dtype = match kind {
        Kind::Half => "float16",
        Kind::BFloat16 => "bfloat16",
        _ => "float32",
    };
    json!({
        "architectures": [architecture(about.task)],
        "model_type": "blip",
        "dtype": dtype,
        "image_text_hidden_size": about.config.projection,
        "projection_dim": about.config.projection,
        "initializer_factor": 1.0,
        "initializer_range": 0.02,
        "label_smoothing": about.label_smoothing,
        "logit_scale_init_value": 2.6592,
        "tie_word_embeddings": true,
        "text_config": {
            "model_type": "blip_text_model",
            "attention_probs_dropout_prob": 0.0,
            "hidden_dropout_prob": 0.0,
            "bos_token_id": text.bos_token_id,
            "eos_token_id": text.sep_token_id,
            "sep_token_id": text.sep_token_id,
            "pad_token_id": text.pad_token_id,
            "vocab_size": text.vocab_size,
            "hidden_size": text.hidden_size,
            "encoder_hidden_size": vision.hidden_size,
            "intermediate_size": text.intermediate_size,
            "num_hidden_layers": text.num_hidden_layers,
            "num_attention_heads": text.num_attention_heads,
            "max_position_embeddings": text.max_position_embeddings,
            "layer_norm_eps": text.layer_norm_eps,
            "hidden_act": "gelu",
            "initializer_range": 0.02,
            "label_smoothing": about.label_smoothing,
            "is_decoder": true,
            "use_cache": true,
            "tie_word_embeddings": true,
        },
        "vision_config": {
            "model_type": "blip_vision_model",
            "attention_dropout": 0.0,
            "hidden_size": vision.hidden_size,
            "intermediate_size": vision.intermediate_size,
            "num_hidden_layers": vision.num_hidden_layers,
            "num_attention_heads": vision.num_attention_heads,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "layer_norm_eps": vision.layer_norm_eps,
            "hidden_act": "gelu",
            "initializer_range": 0.02,
        },
    })
}

fn preprocessor(about: &Description<'_>) -> Value {
    let side = about.config.vision.image_size;
    let factor = about.normalisation.factor;
    json!({
        "image_processor_type": "BlipImageProcessor",
        "do_convert_rgb": true,
        "do_normalize": true,
        "do_rescale": true,
        "do_resize": true,
        "image_mean": about.normalisation.mean,
        "image_std": about.normalisation.std,
        "resample": 3,
        "rescale_factor": factor,
        "size": { "height": side, "width": side },
    })
}

fn generation(config: &MedConfig) -> Value {
    json!({
        "bos_token_id": config.text.bos_token_id,
        "eos_token_id": config.text.sep_token_id,
        "pad_token_id": config.text.pad_token_id,
        "use_cache": true,
    })
}

pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), TrainError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| text_error(path, &error))?;
    text.push('\n');
    fs::write(path, text).map_err(|source| TrainError::Io { what: "write", path: path.to_path_buf(), source })
}

fn text_error(path: &Path, error: &serde_json::Error) -> TrainError {
    TrainError::Format { path: path.to_path_buf(), reason: error.to_string() }
}
