//! Lineage of a model: its data, settings and parents. It is stored in the header of the weights file, so
//! that a copied file keeps it.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use capfilt_blip::{
    LoadError,
    weight_files::{self, WeightFiles},
};
use capfilt_schemas::{model_files::is_index, settings::train::Task};
use safetensors::tensor::Metadata;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::TrainError;

/// Key of the lineage in the header of a safetensors file.
pub(crate) const LINEAGE: &str = "capfilt.lineage";

/// Largest header of a safetensors file in bytes, as in the format's own library.
const MAX_HEADER: u64 = 100_000_000;

/// Version of the lineage's format.
pub const VERSION: u32 = 1;

/// Reason why the lineage of weights is unknown.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum LineageError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Read(#[from] TrainError),
    #[error("{} has no lineage: `capfilt train` did not write it", .0.display())]
    Missing(PathBuf),
}

/// Data, settings and parent of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lineage {
    /// Version of the format.
    pub version: u32,
    /// Task of the training run.
    pub task: Task,
    /// Version of the program that trained the model.
    pub capfilt: String,
    /// Number of optimiser steps of this run.
    pub steps: u64,
    /// Number of epochs of this run.
    pub epochs: f64,
    /// Training data of this run.
    pub data: Data,
    /// The run's settings as they were written; other versions of this program have other keys.
    pub settings: Value,
    /// Checkpoint from which the run started; `None` for a run from random weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Box<Parent>>,
}

/// The training data of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Data {
    /// Digest over all files and manifests of the data.
    pub version: String,
    /// Number of image-text pairs.
    pub pairs: u64,
}

/// The checkpoint from which a run started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    /// Path of the checkpoint, as given in the settings.
    pub path: String,
    /// SHA-256 of its weights: of the file, or of several files in the order of their names.
    pub sha256: String,
    /// Lineage of the checkpoint, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
}

impl Lineage {
    /// Reads the lineage of a weights file, or of the weights in a folder.
    ///
    /// # Errors
    /// The weights cannot be found or read, or have no lineage.
    pub fn find(place: &Path) -> Result<Self, LineageError> {
        let weights = if place.is_dir() { weight_files::find(place)? } else { place.to_path_buf() };
        // If the weights are in several files, each file has the lineage of the whole.
        let file = match is_index(&weights.to_string_lossy()) {
            true => WeightFiles::open(&weights)?.paths().next().map(Path::to_path_buf).unwrap_or(weights),
            false => weights,
        };
        Self::read(&file)?.ok_or(LineageError::Missing(file))
    }

    /// Reads the lineage from the header of a weights file; `None` for a file of another program.
    ///
    /// # Errors
    /// The file cannot be read, or is not a safetensors file.
    pub fn read(path: &Path) -> Result<Option<Self>, TrainError> {
        let format = |reason: String| TrainError::Format { path: path.to_path_buf(), reason };
        let io = |source| TrainError::Io { what: "read", path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        let mut prefix = [0; 8];
        file.read_exact(&mut prefix).map_err(io)?;
        let header = u64::from_le_bytes(prefix);
        if header > length.saturating_sub(8) || header > MAX_HEADER {
            return Err(format("not a safetensors file, so it carries no lineage".into()));
        }
        let mut bytes = vec![0; header as usize];
        file.read_exact(&mut bytes).map_err(io)?;
        let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| format(error.to_string()))?;
        let note = metadata.metadata().as_ref().and_then(|notes| notes.get(LINEAGE));
        note.map(|note| serde_json::from_str(note).map_err(|error| format(format!("its lineage: {error}"))))
            .transpose()
    }

    /// The lineage as text, newest run first.
    pub fn describe(&self) -> String {
        let losses = self.settings["objective"]["losses"].as_array().into_iter().flatten();
        let losses: Vec<&str> = losses.filter_map(Value::as_str).collect();
        let mut text = format!(
            "{}: {} steps, {:.2} epochs, {} pairs of data {} (losses {}; seed {}; capfilt {})",
            self.task.name(),
            self.steps,
            self.epochs,
            self.data.pairs,
            self.data.version,
            losses.join("+"),
            self.settings["run"]["seed"],
            self.capfilt,
        );
        if let Some(parent) = &self.parent {
            text.push_str(&format!("\nfrom {} (sha256 {})", parent.path, parent.sha256));
            if let Some(lineage) = &parent.lineage {
                text.push_str(&format!("\n{}", lineage.describe()));
            }
        }
        text
    }
}

impl Parent {
    /// Describes a checkpoint. `weights`: its file, or the index of several files; `files`: the files of its
    /// tensors, by name.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn of(weights: &Path, files: &[PathBuf]) -> Result<Self, TrainError> {
        use sha2::{Digest as _, Sha256};
        let mut digest = Sha256::new();
        let mut buffer = vec![0; 1 << 20];
        for path in files {
            let io = |source| TrainError::Io { what: "read", path: path.clone(), source };
            let mut file = File::open(path).map_err(io)?;
            loop {
                match file.read(&mut buffer).map_err(io)? {
                    0 => break,
                    n => digest.update(&buffer[..n]),
                }
            }
        }
        let is_safetensors =
            |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "safetensors");
        let lineage =
            files.first().filter(is_safetensors).map(|path| Lineage::read(path)).transpose()?.flatten();
        Ok(Self { path: weights.display().to_string(), sha256: hex::encode(digest.finalize()), lineage })
    }
}
