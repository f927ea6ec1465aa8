//! Initial weights of a run: a checkpoint, weights of a ViT and a BERT, or random numbers (BLIP, section
//! 3.1).

use std::path::{Path, PathBuf};

use capfilt_blip::{
    checkpoint::Checkpoint,
    config::{MedConfig, TextConfig, VisionConfig},
    names::{unwrapped, vision_name},
    preprocess::Normalisation,
    tokens::BertTokens,
    vit::stretch_positions,
    weight_files::WeightFiles,
};
use capfilt_schemas::settings::train::{Model, Sizes};
use tch::{Device, Kind, Tensor};

use crate::{
    error::TrainError,
    parameters::{Entry, Layout},
};

const POSITIONS: &str = "vision_model.embeddings.position_embedding";
/// Initial temperature of BLIP's contrastive loss.
const TEMPERATURE: f64 = 0.07;

/// A model before its first step.
pub struct Start {
    /// Sizes of the model.
    pub config: MedConfig,
    /// Tokenizer.
    pub tokens: BertTokens,
    /// Normalisation of the pixels.
    pub normalisation: Normalisation,
    /// Folder with the tokenizer's files.
    pub tokenizer: PathBuf,
    /// Tensors that the checkpoint does not have, because it was trained for another task; randomly
    /// initialised.
    pub drawn: Vec<String>,
    /// Amplitude of the waves that are added to the image's position table.
    waves: f64,
    checkpoint: Option<Checkpoint>,
    vision: Option<WeightFiles>,
    text: Option<WeightFiles>,
}

impl Start {
    /// Opens the files of the settings.
    ///
    /// # Errors
    /// A file is missing or damaged, or the sizes do not make a model.
    pub fn open(model: &Model, sizes: &Sizes) -> Result<Self, TrainError> {
        if model.from.is_empty() {
            return Self::from_parts(model, sizes);
        }
        let path = Path::new(&model.from);
        let checkpoint = Checkpoint::open(path)?;
        let mut config = checkpoint.config.clone();
        let tokenizer =
            if path.is_dir() { path.to_path_buf() } else { path.parent().unwrap_or(path).to_path_buf() };
        let tokens = BertTokens::open(&tokenizer, &config.text)?;
        let mut normalisation = checkpoint.normalisation.clone();
        if model.image_size > 0 {
            config.vision.image_size = i64::from(model.image_size);
            normalisation.side = None;
        }
        checked(&config)?;
        let (checkpoint, drawn) = (Some(checkpoint), Vec::new());
        Ok(Self {
            config,
            tokens,
            normalisation,
            tokenizer,
            drawn,
            waves: model.waves,
            checkpoint,
            vision: None,
            text: None,
        })
    }

    fn from_parts(model: &Model, sizes: &Sizes) -> Result<Self, TrainError> {
        let tokenizer = PathBuf::from(&model.vocabulary);
        let words = BertTokens::vocabulary_size(&tokenizer)?;
        let mut config = config(sizes, words);
        let tokens = BertTokens::open(&tokenizer, &config.text)?;
        (config.text.sep_token_id, config.text.pad_token_id) = (tokens.sep(), tokens.pad());
        checked(&config)?;
        let open = |path: &str| (!path.is_empty()).then(|| WeightFiles::open(Path::new(path))).transpose();
        let (vision, text) = (open(&model.vision_weights)?, open(&model.text_weights)?);
        let normalisation = Normalisation::default();
        let (waves, drawn) = (model.waves, Vec::new());
        Ok(Self { config, tokens, normalisation, tokenizer, drawn, waves, checkpoint: None, vision, text })
    }

    /// Weights of a layout as one f32 vector on the CPU; tensors that no file has are initialised randomly
    /// from `seed`.
    ///
    /// # Errors
    /// Names the tensor that a checkpoint lacks or has in another shape.
    pub fn weights(&mut self, layout: &Layout, seed: u64) -> Result<Tensor, TrainError> {
        tch::manual_seed(seed as i64);
        let mut parts = vec![self.temperature()?];
        for entry in layout.entries() {
            let mut tensor = self.tensor(entry)?.f_to_kind(Kind::Float)?;
            if entry.name == POSITIONS && self.waves > 0.0 {
                tensor = tensor.f_add(&waves(&entry.shape)?.f_mul_scalar(self.waves)?)?;
            }
            parts.push(tensor.f_reshape([-1])?);
        }
        Ok(Tensor::f_cat(&parts, 0)?)
    }

    /// The file of the initial checkpoint (or the index of several), and all files of its weights.
    pub fn weights_paths(&self) -> Option<(&Path, Vec<PathBuf>)> {
        self.checkpoint.as_ref().map(|checkpoint| (checkpoint.weights_path(), checkpoint.weights_paths()))
    }

    fn temperature(&mut self) -> Result<Tensor, TrainError> {
        let found =
            self.checkpoint.as_mut().map(|checkpoint| checkpoint.tensor("temp")).transpose()?.flatten();
        match found {
            Some(temperature) => Ok(temperature.f_to_kind(Kind::Float)?.f_reshape([1])?),
            None => Ok(Tensor::f_full([1], TEMPERATURE, (Kind::Float, Device::Cpu))?),
        }
    }

    fn tensor(&mut self, entry: &Entry) -> Result<Tensor, TrainError> {
        // Always sampled, so that the random numbers of later tensors do not depend on the existing files.
        let drawn = drawn(entry, &self.config)?;
        let found = self.found(entry)?;
        if found.is_none() && self.checkpoint.is_some() {
            if !is_of_a_head(&entry.name) {
                let reason = format!("{} is missing; is this a checkpoint of MED?", entry.name);
                return Err(TrainError::Settings(format!("model.from: {reason}")));
            }
            self.drawn.push(entry.name.clone());
        }
        let Some(mut found) = found else {
            return Ok(drawn);
        };
        if is_of_another_width(entry, &found.size()) {
            self.drawn.push(entry.name.clone());
            return Ok(drawn);
        }
        if entry.name == POSITIONS {
            let grid = self.config.vision.grid(self.config.vision.image_size);
            found = stretch_positions(found, grid)?;
        }
        let rows = found.size().first().copied().unwrap_or(0);
        let widened =
            entry.name.ends_with("word_embeddings.weight") || entry.name.ends_with("predictions.bias");
        if widened && self.text.is_some() && rows < entry.shape[0] && found.size()[1..] == entry.shape[1..] {
            // Ids that BLIP adds to BERT's vocabulary.
            let more = drawn.f_narrow(0, rows, entry.shape[0] - rows)?;
            found = Tensor::f_cat(&[found.f_to_kind(Kind::Float)?, more], 0)?;
        }
        if found.size() != entry.shape {
            return Err(TrainError::Settings(format!(
                "{} is {:?} in the weights to start from, expected {:?}; do sizes and vocabulary belong to \
                them?",
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
            let single = single_s(name);
            let decoder_s = name.replace("predictions.bias", "predictions.decoder.bias");
            for name in [name, &decoder_s, &other_tower_s(name), &single, &other_tower_s(&single)] {
                if let Some(found) = checkpoint.tensor(name)? {
                    return Ok(Some(found));
                }
            }
            return Ok(None);
        }
        if let (Some(rest), Some(file)) = (name.strip_prefix("vision_model."), &mut self.vision) {
            let stored = file.names().find(|stored| of_vision(stored) == rest).cloned();
            return Ok(stored.map(|stored| file.read(&stored)).transpose()?);
        }
        if let (Some(names), Some(file)) = (bert_names(name), &mut self.text) {
            let stored =
                names.iter().find_map(|name| file.names().find(|stored| unwrapped(stored) == *name).cloned());
            return Ok(stored.map(|stored| file.read(&stored)).transpose()?);
        }
        Ok(None)
    }
}

/// Whether a checkpoint of another task may lack this tensor, so that it is initialised randomly: a captioner
/// has no matching head, and only a reasoner merges two cross-attentions.
fn is_of_a_head(name: &str) -> bool {
    let heads = ["vision_proj.", "text_proj.", "itm_head.", "cls_head.", "text_decoder.cls."];
    heads.iter().any(|head| name.starts_with(head)) || name.contains(".merge_layer.")
}

/// Name of the tensor in a model with one cross-attention per layer: both of a reasoner start from it, as in
/// the published code (`load_checkpoint` of blip_nlvr.py).
fn single_s(name: &str) -> String {
    let twins =
        [(".self0.", ".self."), (".self1.", ".self."), (".dense0.", ".dense."), (".dense1.", ".dense.")];
    twins.iter().fold(name.to_owned(), |name, (twin, single)| name.replace(twin, single))
}

/// Whether a tensor projects states of another width than the decoder attends to. The decoder of MED attends
/// to the image and that of the answerer to the question; the widths of the two differ with ViT-L. The
/// published code also drops such tensors of a checkpoint (`load_checkpoint`).
fn is_of_another_width(entry: &Entry, found: &[i64]) -> bool {
    let projects = [".crossattention.self.key.weight", ".crossattention.self.value.weight"];
    entry.name.starts_with("text_decoder.")
        && projects.iter().any(|name| entry.name.ends_with(name))
        && found.len() == 2
        && found[0] == entry.shape[0]
        && found[1] != entry.shape[1]
}

/// Name of the same tensor in the other text tower: a checkpoint with one text tower initialises both.
fn other_tower_s(name: &str) -> String {
    match name.strip_prefix("text_encoder.") {
        Some(rest) => format!("text_decoder.bert.{rest}"),
        None => name.replace("text_decoder.bert.", "text_encoder."),
    }
}

/// Name of a vision tower's tensor within the tower, from the names of timm, of BLIP's original files or of
/// Hugging Face's.
fn of_vision(stored: &str) -> String {
    let own = unwrapped(stored);
    match own.strip_prefix("vision_model.") {
        Some(rest) => rest.to_owned(),
        None => vision_name(own.strip_prefix("visual_encoder.").unwrap_or(&own)),
    }
}

/// Possible names of a text tower's tensor in a file of BERT's weights.
fn bert_names(name: &str) -> Option<Vec<String>> {
    let head = name.strip_prefix("text_decoder.cls.").map(|rest| format!("cls.{rest}"));
    let tower = name.strip_prefix("text_decoder.bert.").or_else(|| name.strip_prefix("text_encoder."));
    let names = match (head, tower) {
        (Some(head), _) => vec![head],
        (None, Some(rest)) => vec![format!("bert.{rest}"), rest.to_owned()],
        (None, None) => return None,
    };
    // Names in Google's own files.
    let old = |name: &String| {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    };
    Some(names.iter().cloned().chain(names.iter().map(old)).collect())
}

/// Random initial values of a tensor, as in BLIP's parts: BERT and ViT from N(0, 0.02), torch's default for
/// projections, matching head and patches, norms 1 and biases 0.
///
/// 0.02 is for a width of 768. Narrower towers get a larger deviation, so that a layer's outputs have the
/// same variance; at width 128 this trains faster (benches/RESULTS.md).
fn drawn(entry: &Entry, config: &MedConfig) -> Result<Tensor, TrainError> {
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
        _ if name.starts_with("cls_head.") && name.ends_with("weight") => uniform(shape[1])?,
        _ if name.ends_with("bias") => Tensor::f_zeros(shape, options)?,
        _ => {
            let is_vision = name.starts_with("vision_model.");
            let width = if is_vision { config.vision.hidden_size } else { config.text.hidden_size };
            Tensor::f_randn(shape, options)?.f_mul_scalar(0.02 * (768.0 / width as f64).sqrt())?
        }
    })
}

/// Waves that are added to an initial position table: along rows in one half of the width, along columns in
/// the other; (1, 1 + side², width), with 0 for the class token. They are those of the discrete cosine
/// transform, with 1 to side − 1 half periods, repeated. Each sums to 0, so that the waves encode only a
/// patch's position.
///
/// BLIP starts from a ViT with a trained position table. From positions of N(0, 0.02), a MED trained from
/// scratch hardly learned spatial relations (benches/RESULTS.md).
fn waves(shape: &[i64]) -> Result<Tensor, TrainError> {
    let (patches, width) = (shape[1] - 1, shape[2]);
    let side = (patches as f64).sqrt() as i64;
    let value = |patch: i64, i: i64| {
        let place = if i < width / 2 { patch / side } else { patch % side } as f64 + 0.5;
        let half_periods = 1 + (i % (width / 2).max(1)) % (side - 1).max(1);
        (std::f64::consts::PI * place * half_periods as f64 / side as f64).cos()
    };
    let of_patch = |patch: i64| (0..width).map(move |i| value(patch, i));
    let all: Vec<f64> =
        std::iter::repeat_n(0.0, width as usize).chain((0..patches).flat_map(of_patch)).collect();
    Ok(Tensor::f_from_slice(&all)?.f_to_kind(Kind::Float)?.f_reshape(shape)?)
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
