//! Lock of a run's folder: two processes would overwrite each other's checkpoints.

use std::{
    fs::{File, TryLockError},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::error::TrainError;

/// Longest wait for another process in the same folder.
const PATIENCE: Duration = Duration::from_secs(60);

/// Locks the folder while the returned file is open. Waits for a process that is ending and may still save.
///
/// # Errors
/// The other process does not end in time, or the folder is not writable.
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
            // A file system without locks cannot protect the folder.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}
