//! State of the loop in `loop.json`; each step replaces the whole file.

use crate::step::Made;
use anyhow::{Context as _, anyhow};
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_schemas::bootstrap::{Done, LoopState, STATE, VERSION};
use std::{
    fs::{self, File, TryLockError},
    io::Write as _,
    path::{Path, PathBuf},
};

/// State of a loop with a file lock: a second loop in the same folder is an error.
pub(crate) struct State {
    path: PathBuf,
    state: LoopState,
    _lock: File,
}

impl State {
    /// Reads the state; a folder without a state belongs to a new loop.
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))
            .or_environment_error()?;
        let lock = File::create(folder.join("loop.lock"))
            .context("cannot create loop.lock")
            .or_environment_error()?;
        // Any other error: the file system has no locks.
        if let Err(TryLockError::WouldBlock) = lock.try_lock() {
            let error = anyhow!(
                "another loop is running in {}; wait for it, or choose another loop.folder",
                folder.display()
            );
            return Err(error).or_environment_error();
        }
        let path = folder.join(STATE);
        let state = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| {
                    format!(
                        "{} is not the state of a loop; delete it, and the next run starts a new state",
                        path.display()
                    )
                })
                .or_environment_error()?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => LoopState::default(),
            Err(error) => Err(error)
                .with_context(|| format!("cannot read {}", path.display()))
                .or_environment_error()?,
        };
        if state.version != VERSION {
            let error = anyhow!(
                "{} has version {}; this program knows {VERSION}: choose another loop.folder",
                path.display(),
                state.version
            );
            return Err(error).or_usage_error();
        }
        Ok(Self { path, state, _lock: lock })
    }

    /// Returns the result of a step if its inputs were the same and the result is unchanged.
    pub async fn unchanged(&self, step: &str, inputs: &str) -> Option<Made> {
        let done = self.state.find(step).filter(|done| done.inputs == inputs)?;
        let made = Made { place: done.made.clone(), digest: done.digest.clone() };
        made.is_still_there().await.then_some(made)
    }

    /// Records a finished step on disk.
    pub fn note(&mut self, step: &str, inputs: &str, made: &Made) -> Result<(), Failure> {
        let Made { place, digest } = made.clone();
        self.state.note(Done { step: step.to_owned(), inputs: inputs.to_owned(), made: place, digest });
        let unfinished = self.path.with_extension("json.unfinished");
        let write = || {
            let mut file = File::create(&unfinished)?;
            file.write_all(&serde_json::to_vec_pretty(&self.state).map_err(std::io::Error::other)?)?;
            file.sync_all()?;
            fs::rename(&unfinished, &self.path)
        };
        write().with_context(|| format!("cannot write {}", self.path.display())).or_environment_error()
    }
}
