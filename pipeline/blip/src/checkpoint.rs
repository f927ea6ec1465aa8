//! A model folder in Hugging Face's layout, or a checkpoint of the original BLIP code.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tch::{Device, Kind, Tensor};

use crate::{
    config::MedConfig,
    error::LoadError,
    names::Names,
    preprocess::Normalisation,
    processor,
    role::Role,
    small_file,
    tokens::BertTokens,
    weight_files::{self, WeightFiles},
    weights::WeightStore,
};

/// A checkpoint whose small files have been read; the tensors are still on disk.
pub struct Checkpoint {
    /// Sizes of the model.
    pub config: MedConfig,
    /// Normalisation of the pixels.
    pub normalisation: Normalisation,
    /// Tokenizer.
    pub tokens: BertTokens,
    /// The file of `normalisation`; `None` for BLIP's own values.
    pub processor_path: Option<PathBuf>,
    weights: WeightFiles,
    names: Names,
}

impl Checkpoint {
    /// Opens `path`: a folder, or one file of weights (or the index of several) with the other files beside
    /// it.
    ///
    /// # Errors
    /// Names the file that is missing, unreadable or malformed.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let is_file = path.is_file();
        let folder = if is_file { path.parent().unwrap_or(Path::new(".")) } else { path };
        let weights_path = if is_file { path.to_path_buf() } else { weight_files::find(folder)? };
        let weights = WeightFiles::open(&weights_path)?;
        let format = |reason: String| LoadError::Format { path: weights_path.clone(), reason };
        let names = Names::of(weights.names()).map_err(format)?;
        let config_path = folder.join("config.json");
        let written = small_file::read(&config_path, small_file::MAX_DESCRIPTION_BYTES)?;
        let in_config = |reason| LoadError::Format { path: config_path.clone(), reason };
        let config = match &written {
            Some(text) => MedConfig::from_json(text).map_err(in_config)?,
            None => derived(&weights, &names).map_err(format)?,
        };
        let tokens = BertTokens::open(folder, &config.text)?;
        let config = if written.is_some() {
            tokens.check_ids(&config.text).map_err(in_config)?;
            config
        } else {
            tokens.named_in(config)
        };
        let (normalisation, processor_path) = processor::read(folder)?;
        Ok(Self { config, normalisation, tokens, processor_path, weights, names })
    }

    /// The file of the weights, or the index of several files.
    pub fn weights_path(&self) -> &Path {
        self.weights.path()
    }

    /// All files of the weights.
    pub fn weights_paths(&self) -> Vec<PathBuf> {
        self.weights.paths().map(Path::to_path_buf).collect()
    }

    /// Returns the tensors that `role` needs; each is read when the model takes it. Other tensors (momentum
    /// copies, the other text tower) are never read.
    pub fn into_parts(
        self,
        role: Role,
        device: Device,
        kind: Kind,
    ) -> (WeightStore, MedConfig, Normalisation, BertTokens) {
        let Self { config, normalisation, tokens, mut weights, names, .. } = self;
        let (wanted, elsewhere): (Vec<_>, Vec<_>) =
            names.stored.into_iter().partition(|(name, _)| role.wants(name));
        let shape = |stored: &str| weights.shape(stored).map(<[i64]>::to_vec).unwrap_or_default();
        let shapes = wanted.iter().map(|(name, stored)| (name.clone(), shape(stored))).collect();
        let elsewhere = elsewhere.into_iter().map(|(name, _)| name).collect();
        let stored: HashMap<String, String> = wanted.into_iter().collect();
        let reader = move |name: &str| weights.read(stored.get(name).map_or(name, String::as_str));
        let store = WeightStore::on_disk(role, shapes, Box::new(reader), elsewhere, device, kind);
        (store, config, normalisation, tokens)
    }

    /// Reads one tensor by its Hugging Face name, in the file's dtype; `None` if the file does not have it.
    /// The temperature of the contrastive loss has its original name, `temp`.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn tensor(&mut self, name: &str) -> Result<Option<Tensor>, LoadError> {
        let stored =
            if name == "temp" { self.names.temperature.as_ref() } else { self.names.stored.get(name) };
        stored.map(|stored| self.weights.read(stored)).transpose()
    }
}

/// Derives the sizes of an original checkpoint from the shapes of its tensors.
fn derived(weights: &WeightFiles, names: &Names) -> Result<MedConfig, String> {
    if names.are_hugging_faces {
        return Err(
            "there is no config.json beside these weights, and their names are Hugging Face's: the number of \
             heads and the special ids cannot be derived from them. Copy config.json from the source of the \
             weights"
                .into(),
        );
    }
    let shape = |stored: &str| weights.shape(stored).map(<[i64]>::to_vec).unwrap_or_default();
    let shapes = names.stored.iter().map(|(name, stored)| (name.clone(), shape(stored))).collect();
    MedConfig::from_shapes(&shapes).map_err(|reason| {
        format!("there is no config.json, and the weights do not look like BLIP's: {reason}")
    })
}
