//! Opens a model folder in Hugging Face's layout, or a checkpoint of the original BLIP code.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use tch::{Device, Kind, Tensor};

use crate::{
    config::MedConfig,
    error::LoadError,
    preprocess::Normalisation,
    tensor_file::TensorFile,
    tokens::BertTokens,
    weights::{Role, WeightStore},
};

/// A checkpoint whose small files have been read; the weights wait on disk.
pub struct Checkpoint {
    pub config: MedConfig,
    pub normalisation: Normalisation,
    pub tokens: BertTokens,
    weights_path: PathBuf,
    file: TensorFile,
    /// The model's name of a tensor -> its name in the file.
    names: HashMap<String, String>,
}

impl Checkpoint {
    /// `path`: a folder, or an original `.pth` with `tokenizer.json` or `vocab.txt` beside it.
    ///
    /// # Errors
    /// Names the file that is missing, unreadable or nonsense.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let is_file = path.is_file();
        let folder = if is_file { path.parent().unwrap_or(Path::new(".")) } else { path };
        let weights_path = if is_file { path.to_path_buf() } else { find_weights(folder)? };
        let file = TensorFile::open(&weights_path)?;
        let (names, shapes) = renamed(&file);
        let config_path = folder.join("config.json");
        let from_file = config_path.is_file().then(|| parse(&config_path, MedConfig::from_json)).transpose()?;
        let derived = from_file.is_none();
        let mut config = match from_file {
            Some(config) => config,
            None => MedConfig::from_shapes(&shapes).map_err(|reason| no_config(&weights_path, &reason))?,
        };
        let tokens = BertTokens::open(folder, &config.text)?;
        if derived {
            (config.text.sep_token_id, config.text.pad_token_id) = (tokens.sep(), tokens.pad());
        }
        let preprocessor = folder.join("preprocessor_config.json");
        let normalisation = if preprocessor.is_file() {
            parse(&preprocessor, Normalisation::from_json)?
        } else {
            Normalisation::default()
        };
        Ok(Self { config, normalisation, tokens, weights_path, file, names })
    }

    /// The file the weights come from.
    pub fn weights_path(&self) -> &Path {
        &self.weights_path
    }

    /// Reads the tensors that `role` needs; the rest (momentum copies, the other text tower) stays on disk.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn read(&mut self, role: Role, device: Device, kind: Kind) -> Result<WeightStore, LoadError> {
        let (wanted, elsewhere): (Vec<_>, Vec<_>) = self.names.iter().partition(|(name, _)| role.wants(name));
        let mut tensors = HashMap::with_capacity(wanted.len());
        for (name, stored) in wanted {
            tensors.insert(name.clone(), self.file.read(stored)?);
        }
        let elsewhere = elsewhere.into_iter().map(|(name, _)| name.clone()).collect();
        Ok(WeightStore::new(role, tensors, elsewhere, device, kind))
    }
}

impl Checkpoint {
    /// One tensor by its Hugging Face name, as the file has it; `None` when it has none. The temperature of the contrast
    /// goes by its original name, `temp`.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, LoadError> {
        let stored = if name == "temp" {
            self.file.holds(name).then_some(name)
        } else {
            self.names.get(name).map(String::as_str)
        };
        stored.map(|stored| self.file.read(stored)).transpose()
    }
}

fn no_config(weights: &Path, reason: &str) -> LoadError {
    LoadError::Format {
        path: weights.into(),
        reason: format!("there is no config.json, and the weights do not look like BLIP's: {reason}"),
    }
}

fn parse<T>(path: &Path, read: impl Fn(&str) -> Result<T, String>) -> Result<T, LoadError> {
    let text = fs::read_to_string(path).map_err(|source| LoadError::Io { path: path.into(), source })?;
    read(&text).map_err(|reason| LoadError::Format { path: path.into(), reason })
}

/// The weights in a folder: Hugging Face's names first, then a single `.pth`.
fn find_weights(folder: &Path) -> Result<PathBuf, LoadError> {
    let known = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
    if let Some(path) = known.into_iter().find(|path| path.is_file()) {
        return Ok(path);
    }
    let entries = fs::read_dir(folder).map_err(|source| LoadError::Io { path: folder.into(), source })?;
    let is_pth = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "pth");
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_pth).collect();
    match (found.pop(), found.is_empty()) {
        (Some(path), true) => Ok(path),
        (Some(_), false) => Err(LoadError::Format {
            path: folder.into(),
            reason: "holds several .pth files; name the one you mean".into(),
        }),
        (None, _) => Err(LoadError::Missing {
            folder: folder.into(),
            what: "weights (model.safetensors, pytorch_model.bin or one .pth)",
        }),
    }
}

type Names = HashMap<String, String>;
type Shapes = HashMap<String, Vec<i64>>;

/// The names this crate uses, and the shapes under them.
fn renamed(file: &TensorFile) -> (Names, Shapes) {
    let mut names = HashMap::new();
    let mut shapes = HashMap::new();
    for (stored, shape) in file.shapes() {
        if let Some(name) = rename(&stored) {
            shapes.insert(name.clone(), shape);
            names.insert(name, stored);
        }
    }
    (names, shapes)
}

/// A tensor's Hugging Face name, from that or from the original name. `None`: momentum copies, queues and buffers,
/// which no model here needs; they are dropped first, because renaming would turn a momentum copy into nonsense.
fn rename(name: &str) -> Option<String> {
    let top = name.split('.').next().unwrap_or(name);
    if top.ends_with("_m") || name.contains("queue") || name.ends_with("position_ids") || name == "temp" {
        return None;
    }
    let Some(rest) = name.strip_prefix("visual_encoder.") else {
        return Some(name.to_string());
    };
    Some(format!("vision_model.{}", vision_name(rest)))
}

/// The original's parts of names in its vision tower, and Hugging Face's.
const VISION_PARTS: [(&str, &str); 6] = [
    ("patch_embed.proj.", "embeddings.patch_embedding."),
    ("blocks.", "encoder.layers."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attn.proj.", ".self_attn.projection."),
];

/// A name below the vision tower, from timm's, which the original uses, to Hugging Face's.
pub fn vision_name(rest: &str) -> String {
    match rest {
        "cls_token" => "embeddings.class_embedding".to_string(),
        "pos_embed" => "embeddings.position_embedding".to_string(),
        _ => match rest.strip_prefix("norm.") {
            Some(end) => format!("post_layernorm.{end}"),
            None => VISION_PARTS.iter().fold(rest.to_string(), |name, (from, to)| name.replace(from, to)),
        },
    }
}

/// A tensor's original name, from Hugging Face's.
pub fn original_name(name: &str) -> String {
    let Some(rest) = name.strip_prefix("vision_model.") else {
        return name.to_string();
    };
    let whole = match rest {
        "embeddings.class_embedding" => "cls_token".to_string(),
        "embeddings.position_embedding" => "pos_embed".to_string(),
        _ => match rest.strip_prefix("post_layernorm.") {
            Some(end) => format!("norm.{end}"),
            None => VISION_PARTS.iter().fold(rest.to_string(), |name, (to, from)| name.replace(from, to)),
        },
    };
    format!("visual_encoder.{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn original_names_become_hugging_face_names() {
        let pairs = [
            ("visual_encoder.cls_token", "vision_model.embeddings.class_embedding"),
            ("visual_encoder.pos_embed", "vision_model.embeddings.position_embedding"),
            ("visual_encoder.patch_embed.proj.bias", "vision_model.embeddings.patch_embedding.bias"),
            ("visual_encoder.blocks.3.norm2.weight", "vision_model.encoder.layers.3.layer_norm2.weight"),
            ("visual_encoder.blocks.3.attn.proj.weight", "vision_model.encoder.layers.3.self_attn.projection.weight"),
            ("visual_encoder.blocks.3.attn.qkv.bias", "vision_model.encoder.layers.3.self_attn.qkv.bias"),
            ("visual_encoder.blocks.3.mlp.fc1.bias", "vision_model.encoder.layers.3.mlp.fc1.bias"),
            ("visual_encoder.norm.weight", "vision_model.post_layernorm.weight"),
            ("text_encoder.embeddings.LayerNorm.bias", "text_encoder.embeddings.LayerNorm.bias"),
        ];
        for (original, hf) in pairs {
            assert_eq!(rename(original).as_deref(), Some(hf));
            assert_eq!(original_name(hf), original);
        }
    }

    #[test]
    fn what_only_training_needs_is_dropped() {
        for name in [
            "visual_encoder_m.norm.weight",
            "text_encoder_m.embeddings.LayerNorm.bias",
            "vision_proj_m.bias",
            "image_queue",
            "ptr_queue",
            "idx_queue",
            "queue_ptr",
            "temp",
            "text_encoder.embeddings.position_ids",
        ] {
            assert_eq!(rename(name), None, "{name}");
        }
    }
}
