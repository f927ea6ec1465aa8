//! Training checkpoints: the complete state with which a run resumes. A checkpoint is written under a
//! temporary name and renamed, so a reader finds a complete checkpoint or none.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use capfilt_blip::tensor_file::TensorFile;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{
    adamw::AdamW,
    data::Cursor,
    error::TrainError,
    learner::Learner,
    model_files::{self, Description},
    tensors,
};

/// Format version of `state.json` and `training.safetensors`.
const VERSION: u32 = 1;

/// State of the run besides the tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the format.
    pub version: u32,
    /// Number of finished optimiser steps.
    pub step: u64,
    /// Position of the next batch.
    pub cursor: Cursor,
    /// Position in the queue of the next batch's features.
    pub queue_at: i64,
    /// Digest of the settings and data that must not change during a run.
    pub digest: String,
}

/// The folder of a run's checkpoints.
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// Opens the checkpoints below a run's folder; the newest `keep` are kept.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn open(run: &Path, keep: usize) -> Result<Self, TrainError> {
        let folder = run.join("checkpoints");
        fs::create_dir_all(&folder).map_err(|source| io("create", &folder, source))?;
        Ok(Self { folder, keep })
    }

    /// The newest complete checkpoint.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn newest(&self) -> Result<Option<PathBuf>, TrainError> {
        Ok(self.all()?.pop())
    }

    /// Writes a checkpoint: the model in its published format, and the training state beside it.
    ///
    /// # Errors
    /// The checkpoint cannot be written. The unfinished one is removed, and the previous one stays.
    pub fn save(
        &self,
        state: &State,
        learner: &Learner,
        optimizer: &AdamW,
        about: &Description<'_>,
    ) -> Result<PathBuf, TrainError> {
        let path = self.folder.join(format!("step-{:08}", state.step));
        let unfinished = self.folder.join(format!("step-{:08}.unfinished", state.step));
        fs::remove_dir_all(&unfinished)
            .or_else(absent)
            .map_err(|source| io("remove", &unfinished, source))?;
        let written = write(&unfinished, state, learner, optimizer, about);
        let written = written.and_then(|()| {
            fs::remove_dir_all(&path).or_else(absent).map_err(|source| io("remove", &path, source))?;
            fs::rename(&unfinished, &path).map_err(|source| io("rename to", &path, source))
        });
        if written.is_err() {
            // Best effort: the disk may be full, and the first error is the relevant one.
            fs::remove_dir_all(&unfinished).ok();
        }
        written?;
        self.prune()?;
        Ok(path)
    }

    fn prune(&self) -> Result<(), TrainError> {
        let all = self.all()?;
        for old in &all[..all.len().saturating_sub(self.keep)] {
            fs::remove_dir_all(old).map_err(|source| io("remove", old, source))?;
        }
        Ok(())
    }

    /// Complete checkpoints, oldest first.
    fn all(&self) -> Result<Vec<PathBuf>, TrainError> {
        let entries = fs::read_dir(&self.folder).map_err(|source| io("list", &self.folder, source))?;
        let is_whole = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.strip_prefix("step-").is_some_and(|step| step.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_whole).collect();
        all.sort();
        Ok(all)
    }
}

fn write(
    folder: &Path,
    state: &State,
    learner: &Learner,
    optimizer: &AdamW,
    about: &Description<'_>,
) -> Result<(), TrainError> {
    fs::create_dir_all(folder).map_err(|source| io("create", folder, source))?;
    model_files::write(folder, &learner.parameters, Kind::Float, about)?;
    let mut named = vec![
        ("weights".to_owned(), learner.parameters.vector().shallow_clone()),
        ("mean".to_owned(), optimizer.mean.shallow_clone()),
        ("square".to_owned(), optimizer.square.shallow_clone()),
    ];
    if let Some(memory) = &learner.memory {
        named.push(("momentum".to_owned(), memory.towers.vector.shallow_clone()));
        named.push(("queue.image".to_owned(), memory.queue.image.shallow_clone()));
        named.push(("queue.text".to_owned(), memory.queue.text.shallow_clone()));
        named.push(("queue.ids".to_owned(), memory.queue.ids.shallow_clone()));
    }
    tensors::write(&folder.join("training.safetensors"), &named, HashMap::new())?;
    model_files::write_json(&folder.join("state.json"), state)
}

/// Restores a checkpoint's state into a learner and its optimiser.
///
/// # Errors
/// The checkpoint is damaged, has another format, or is of a run with other settings or data.
pub fn restore(
    folder: &Path,
    digest: &str,
    learner: &mut Learner,
    optimizer: &mut AdamW,
) -> Result<State, TrainError> {
    let path = folder.join("state.json");
    let text = fs::read_to_string(&path).map_err(|source| io("read", &path, source))?;
    let format = |reason: String| TrainError::Format { path: path.clone(), reason };
    let state: State = serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
    if state.version != VERSION {
        return Err(format(format!("format {}, this program reads {VERSION}", state.version)));
    }
    if state.digest != digest {
        return Err(format(
            "its run had other settings or data than this one; give this run another run.folder, or put \
            them back"
                .into(),
        ));
    }
    let mut file = TensorFile::open(&folder.join("training.safetensors"))?;
    let mut fill = |name: &str, into: &mut Tensor| -> Result<(), TrainError> {
        let stored = file.read(name)?;
        if stored.size() != into.size() {
            return Err(TrainError::Format {
                path: folder.join("training.safetensors"),
                reason: format!("{name} is {:?}, expected {:?}", stored.size(), into.size()),
            });
        }
        Ok(tch::no_grad(|| into.f_copy_(&stored.f_to_device(into.device())?))?)
    };
    fill("weights", &mut learner.parameters.vector().f_detach()?)?;
    fill("mean", &mut optimizer.mean)?;
    fill("square", &mut optimizer.square)?;
    if let Some(memory) = &mut learner.memory {
        fill("momentum", &mut memory.towers.vector)?;
        fill("queue.image", &mut memory.queue.image)?;
        fill("queue.text", &mut memory.queue.text)?;
        fill("queue.ids", &mut memory.queue.ids)?;
        memory.queue.at = state.queue_at;
    }
    optimizer.steps = state.step as i64;
    Ok(state)
}

impl State {
    /// State of a run after `step` steps.
    pub fn new(step: u64, cursor: Cursor, learner: &Learner, digest: &str) -> Self {
        let queue_at = learner.memory.as_ref().map_or(0, |memory| memory.queue.at);
        Self { version: VERSION, step, cursor, queue_at, digest: digest.to_owned() }
    }
}

fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> TrainError {
    TrainError::Io { what, path: path.to_path_buf(), source }
}
