//! One process at a time in a run's folder: two would write over each other's checkpoints.

use std::{
    fs::{File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::error::TrainError;

/// How long another process in the same folder is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps others out while the file is open. One that was told to stop may still be saving: it is waited for.
///
/// # Errors
/// When another process stays, or the folder cannot be written to.
pub fn take(folder: &Path) -> Result<File, TrainError> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(|source| TrainError::Io { what: "create", path, source })?;
    let asked = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if asked.elapsed() > PATIENCE => {
                return Err(TrainError::Busy { folder: folder.to_path_buf() });
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(100)),
            // A file system without locks has none to offer.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}
