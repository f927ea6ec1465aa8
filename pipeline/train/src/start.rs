//! Where a run's weights come from: a checkpoint, weights of a ViT and a BERT, or chance (BLIP, section 3.1).

use std::path::{Path, PathBuf};

use capfilt_med::{
    checkpoint::{Checkpoint, vision_name},
    config::{MedConfig, TextConfig, VisionConfig},
    preprocess::Normalisation,
    tensor_file::TensorFile,
    tokens::BertTokens,
    vit::stretch_positions,
};
use capfilt_schemas::settings::train::{Model, Sizes};
use tch::{Device, Kind, Tensor};

use crate::{
    error::TrainError,
    parameters::{Entry, Layout},
};

const POSITIONS: &str = "vision_model.embeddings.position_embedding";
/// BLIP's first temperature of the contrast.
const TEMPERATURE: f64 = 0.07;

/// A model before its first step.
pub struct Start {
    pub config: MedConfig,
    pub tokens: BertTokens,
    pub normalisation: Normalisation,
    /// Folder with the tokenizer's files.
    pub tokenizer: PathBuf,
    checkpoint: Option<Checkpoint>,
    vision: Option<(PathBuf, TensorFile)>,
    text: Option<(PathBuf, TensorFile)>,
}

impl Start {
    /// Opens what the settings name.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the sizes make no model.
    pub fn open(model: &Model, sizes: &Sizes) -> Result<Self, TrainError> {
        if model.from.is_empty() {
            return Self::from_parts(model, sizes);
        }
        let path = Path::new(&model.from);
        let checkpoint = Checkpoint::open(path)?;
        let mut config = checkpoint.config.clone();
        let tokenizer = if path.is_dir() { path.to_path_buf() } else { path.parent().unwrap_or(path).to_path_buf() };
        let tokens = BertTokens::open(&tokenizer, &config.text)?;
        let mut normalisation = checkpoint.normalisation.clone();
        if model.image_size > 0 {
            config.vision.image_size = i64::from(model.image_size);
            normalisation.side = None;
        }
        checked(&config)?;
        Ok(Self { config, tokens, normalisation, tokenizer, checkpoint: Some(checkpoint), vision: None, text: None })
    }

    fn from_parts(model: &Model, sizes: &Sizes) -> Result<Self, TrainError> {
        let tokenizer = PathBuf::from(&model.vocabulary);
        let words = BertTokens::vocabulary_size(&tokenizer)?;
        let mut config = config(sizes, words);
        let tokens = BertTokens::open(&tokenizer, &config.text)?;
        (config.text.sep_token_id, config.text.pad_token_id) = (tokens.sep(), tokens.pad());
        checked(&config)?;
        let open = |path: &str| -> Result<Option<(PathBuf, TensorFile)>, TrainError> {
            if path.is_empty() {
                return Ok(None);
            }
            Ok(Some((PathBuf::from(path), TensorFile::open(Path::new(path))?)))
        };
        let (vision, text) = (open(&model.vision_weights)?, open(&model.text_weights)?);
        let normalisation = Normalisation::default();
        Ok(Self { config, tokens, normalisation, tokenizer, checkpoint: None, vision, text })
    }

    /// The vector of a layout's weights on the CPU in f32, drawn from `seed` where no file has them.
    ///
    /// # Errors
    /// When a checkpoint lacks a tensor or has it in another shape; both by name.
    pub fn weights(&mut self, layout: &Layout, seed: u64) -> Result<Tensor, TrainError> {
        tch::manual_seed(seed as i64);
        let mut parts = vec![self.temperature()?];
        for entry in layout.entries() {
            parts.push(self.tensor(entry)?.f_to_kind(Kind::Float)?.f_reshape([-1])?);
        }
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// The file of the checkpoint it starts from.
    pub fn weights_path(&self) -> Option<&Path> {
        self.checkpoint.as_ref().map(Checkpoint::weights_path)
    }

    fn temperature(&mut self) -> Result<Tensor, TrainError> {
        let found = self.checkpoint.as_mut().map(|checkpoint| checkpoint.tensor("temp")).transpose()?.flatten();
        match found {
            Some(temperature) => Ok(temperature.f_to_kind(Kind::Float)?.f_reshape([1])?),
            None => Ok(Tensor::f_full([1], TEMPERATURE, (Kind::Float, Device::Cpu))?),
        }
    }

    fn tensor(&mut self, entry: &Entry) -> Result<Tensor, TrainError> {
        // Drawn in any case, so that the others are the same whatever files there are.
        let drawn = drawn(entry)?;
        let found = self.found(entry)?;
        if found.is_none() && self.checkpoint.is_some() {
            let reason = format!("{} is missing; is this a checkpoint of pre-training?", entry.name);
            return Err(TrainError::Settings(format!("model.from: {reason}")));
        }
        let Some(mut found) = found else {
            return Ok(drawn);
        };
        if entry.name == POSITIONS {
            let grid = self.config.vision.grid(self.config.vision.image_size);
            found = stretch_positions(found, grid)?;
        }
        let rows = found.size().first().copied().unwrap_or(0);
        let widened = entry.name.ends_with("word_embeddings.weight") || entry.name.ends_with("predictions.bias");
        if widened && self.text.is_some() && rows < entry.shape[0] && found.size()[1..] == entry.shape[1..] {
            // The ids that BLIP adds to BERT's vocabulary.
            let more = drawn.f_narrow(0, rows, entry.shape[0] - rows)?;
            found = Tensor::f_cat(&[found.f_to_kind(Kind::Float)?, more], 0)?;
        }
        if found.size() != entry.shape {
            return Err(TrainError::Settings(format!(
                "{} is {:?} in the weights to start from, expected {:?}; do sizes and vocabulary belong to them?",
                entry.name,
                found.size(),
                entry.shape
            )));
        }
        Ok(found)
    }

    fn found(&mut self, entry: &Entry) -> Result<Option<Tensor>, TrainError> {
        let name = entry.name.as_str();
        if let Some(checkpoint) = &mut self.checkpoint {
            return match checkpoint.tensor(name)? {
                None if name.ends_with(".predictions.bias") => {
                    Ok(checkpoint.tensor(&name.replace(".bias", ".decoder.bias"))?)
                }
                found => Ok(found),
            };
        }
        if let (Some(rest), Some((_, file))) = (name.strip_prefix("vision_model."), &mut self.vision) {
            let stored = file.shapes().into_keys().find(|stored| vision_name(stored) == rest);
            return Ok(stored.map(|stored| file.read(&stored)).transpose()?);
        }
        if let (Some(names), Some((_, file))) = (bert_names(name), &mut self.text) {
            let stored = names.into_iter().find(|stored| file.holds(stored));
            return Ok(stored.map(|stored| file.read(&stored)).transpose()?);
        }
        Ok(None)
    }
}

/// The names a tensor of a text tower may have in a file of BERT's weights.
fn bert_names(name: &str) -> Option<Vec<String>> {
    let head = name.strip_prefix("text_decoder.cls.").map(|rest| format!("cls.{rest}"));
    let tower = name.strip_prefix("text_decoder.bert.").or_else(|| name.strip_prefix("text_encoder."));
    let names = match (head, tower) {
        (Some(head), _) => vec![head],
        (None, Some(rest)) => vec![format!("bert.{rest}"), rest.to_owned()],
        (None, None) => return None,
    };
    // The names of Google's own files.
    let old =
        |name: &String| name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta");
    Some(names.iter().cloned().chain(names.iter().map(old)).collect())
}

/// A tensor's first numbers, as BLIP's parts draw them: BERT and ViT from N(0, 0.02), what torch calls its default for
/// projections, matching head and patches, norms at 1 and biases at 0.
fn drawn(entry: &Entry) -> Result<Tensor, TrainError> {
    let (name, shape) = (entry.name.as_str(), entry.shape.as_slice());
    let options = (Kind::Float, Device::Cpu);
    let uniform = |fan_in: i64| {
        let bound = (fan_in.max(1) as f64).sqrt().recip();
        Tensor::f_empty(shape, options)?.f_uniform_(-bound, bound)
    };
    let is_norm = name.contains("LayerNorm") || name.contains("layer_norm") || name.contains("layernorm");
    Ok(match name {
        _ if is_norm && name.ends_with("weight") => Tensor::f_ones(shape, options)?,
        _ if name.ends_with("patch_embedding.weight") => uniform(shape[1..].iter().product())?,
        _ if name.ends_with("_proj.weight") || name == "itm_head.weight" => uniform(shape[1])?,
        _ if name.ends_with("bias") => Tensor::f_zeros(shape, options)?,
        _ => Tensor::f_randn(shape, options)?.f_mul_scalar(0.02)?,
    })
}

fn config(sizes: &Sizes, words: i64) -> MedConfig {
    let vision = VisionConfig {
        hidden_size: i64::from(sizes.vision_width),
        intermediate_size: 4 * i64::from(sizes.vision_width),
        num_hidden_layers: i64::from(sizes.vision_layers),
        num_attention_heads: i64::from(sizes.vision_heads),
        image_size: i64::from(sizes.image_size),
        patch_size: i64::from(sizes.patch_size),
        layer_norm_eps: 1e-6,
        ..VisionConfig::default()
    };
    let text = TextConfig {
        vocab_size: words,
        hidden_size: i64::from(sizes.text_width),
        intermediate_size: 4 * i64::from(sizes.text_width),
        num_hidden_layers: i64::from(sizes.text_layers),
        num_attention_heads: i64::from(sizes.text_heads),
        max_position_embeddings: i64::from(sizes.positions),
        bos_token_id: words - 2,
        ..TextConfig::default()
    };
    MedConfig { vision, text, projection: i64::from(sizes.projection) }
}

fn checked(config: &MedConfig) -> Result<(), TrainError> {
    config.check().map_err(TrainError::Settings)
}
