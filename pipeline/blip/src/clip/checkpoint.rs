//! A folder with a CLIP: of transformers, or of OpenCLIP.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use tch::{Device, Kind};

use super::{
    config::ClipConfig,
    names::ClipNames,
    processor::{self, Preparation},
    tokens::ClipTokens,
};
use crate::{
    error::LoadError,
    role::Role,
    small_file::{self, MAX_DESCRIPTION_BYTES},
    weight_files::{self, WeightFiles},
    weights::WeightStore,
};

/// A checkpoint whose small files have been read; the tensors are still on disk.
pub(super) struct ClipCheckpoint {
    pub config: ClipConfig,
    pub preparation: Preparation,
    pub tokens: ClipTokens,
    weights: WeightFiles,
    names: ClipNames,
}

impl ClipCheckpoint {
    /// Opens a folder, or one file of weights with the other files beside it.
    ///
    /// # Errors
    /// Names the file that is missing, unreadable or malformed.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let is_file = path.is_file();
        let folder = if is_file { path.parent().unwrap_or(Path::new(".")) } else { path };
        let weights_path = if is_file { path.to_path_buf() } else { weight_files::find(folder)? };
        let weights = WeightFiles::open(&weights_path)?;
        let names = ClipNames::of(weights.names())
            .map_err(|reason| LoadError::Format { path: weights_path.clone(), reason })?;
        let (config, preparation) =
            if names.are_open_clips { open_clip(folder)? } else { transformers(folder)? };
        let tokens = ClipTokens::open(folder, &config)?;
        Ok(Self { config, preparation, tokens, weights, names })
    }

    /// The file of the weights, or the index of several files.
    pub fn weights_path(&self) -> PathBuf {
        self.weights.path().to_path_buf()
    }

    /// Returns the tensors; each is read when the model takes it.
    pub fn into_parts(
        self,
        device: Device,
        kind: Kind,
    ) -> (WeightStore, ClipConfig, Preparation, ClipTokens) {
        let Self { config, preparation, tokens, mut weights, names } = self;
        let shape = |stored: &str| weights.shape(stored).map(<[i64]>::to_vec).unwrap_or_default();
        let shapes: HashMap<String, Vec<i64>> =
            names.stored.iter().map(|(name, stored)| (name.clone(), shape(stored))).collect();
        let stored = names.stored;
        let reader = move |name: &str| weights.read(stored.get(name).map_or(name, String::as_str));
        let store = WeightStore::on_disk(Role::Clip, shapes, Box::new(reader), Vec::new(), device, kind);
        (store, config, preparation, tokens)
    }
}

fn transformers(folder: &Path) -> Result<(ClipConfig, Preparation), LoadError> {
    let (path, text) = description(folder, "config.json", "config.json")?;
    let config = ClipConfig::from_transformers(&text);
    let config = config.map_err(|reason| LoadError::Format { path: path.clone(), reason })?;
    let (preparation, of) = processor::of_transformers(folder)?;
    match preparation.normalisation.side {
        Some(side) if side != config.image_size => Err(LoadError::Format {
            path: of.unwrap_or(path),
            reason: format!(
                "images become squares of {side} pixels (crop_size; 224 by default), but the model takes {} \
                 (image_size of config.json's vision_config); correct the one that is wrong",
                config.image_size
            ),
        }),
        _ => Ok((config, preparation)),
    }
}

fn open_clip(folder: &Path) -> Result<(ClipConfig, Preparation), LoadError> {
    const NAME: &str = "open_clip_config.json";
    let (path, text) = description(folder, NAME, "open_clip_config.json, which OpenCLIP's weights need")?;
    let config = ClipConfig::from_open_clip(&text);
    let prepared = config.and_then(|config| {
        let preparation = processor::of_open_clip(&text, config.image_size)?;
        Ok((config, preparation))
    });
    prepared.map_err(|reason| LoadError::Format { path, reason })
}

fn description(folder: &Path, name: &str, what: &'static str) -> Result<(PathBuf, String), LoadError> {
    let path = folder.join(name);
    match small_file::read(&path, MAX_DESCRIPTION_BYTES)? {
        Some(text) => Ok((path, text)),
        None => Err(LoadError::Missing { folder: folder.into(), what }),
    }
}
