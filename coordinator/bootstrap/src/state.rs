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

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_console::Exit;

    #[test]
    fn a_second_loop_in_a_folder_is_refused_until_the_first_has_ended() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = State::open(folder.path()).expect("a new loop");
        let refused = State::open(folder.path()).err().expect("the folder is locked");
        assert_eq!(refused.exit, Exit::Environment);
        assert!(refused.error.to_string().contains("another loop is running"), "{}", refused.error);
        drop(first);
        State::open(folder.path()).expect("the lock is released");
    }

    #[test]
    fn a_state_of_another_version_or_of_another_format_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (text, exit) in
            [(r#"{"version": 99, "steps": []}"#, Exit::Usage), ("not JSON", Exit::Environment)]
        {
            fs::write(folder.path().join(STATE), text).expect("a file");
            assert_eq!(State::open(folder.path()).err().expect("a wrong state").exit, exit, "{text}");
        }
    }

    #[test]
    fn a_recorded_step_is_found_after_a_restart_unless_its_inputs_or_its_result_changed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made =
            Made { place: folder.path().join("no model").display().to_string(), digest: "d".to_owned() };
        State::open(folder.path())
            .expect("a new loop")
            .note("round-1/filter", "inputs", &made)
            .expect("written");
        let state = State::open(folder.path()).expect("the state is read again");
        let done = state.state.find("round-1/filter").expect("the step is recorded");
        assert_eq!((done.inputs.as_str(), done.digest.as_str()), ("inputs", "d"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            assert!(state.unchanged("round-1/filter", "other inputs").await.is_none());
            assert!(state.unchanged("round-1/filter", "inputs").await.is_none(), "the model does not exist");
        });
    }
}
