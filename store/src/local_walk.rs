//! Walks through a local folder without following symbolic links.

use object_store::{
    ObjectMeta,
    path::{Path, PathPart},
};
use std::{
    fs,
    io::{self, ErrorKind},
    path::PathBuf,
    time::SystemTime,
};

/// Files after which a step ends. Memory: about 200 bytes each.
const FILES_PER_STEP: usize = 1024;

/// A walk in progress.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Folders to visit, each with its name parts below the start.
    folders: Vec<(PathBuf, Vec<String>)>,
}

/// Content of some of the folders.
#[derive(Debug, Default)]
pub(crate) struct Step {
    pub files: Vec<Found>,
    pub links: Vec<PathBuf>,
}

/// A plain file.
#[derive(Debug)]
pub(crate) struct Found {
    /// Name parts below the start of the walk.
    parts: Vec<String>,
    bytes: u64,
    modified: SystemTime,
}

impl Walk {
    /// A walk through a folder. The folder itself may be a link, or missing.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folders: vec![(folder, Vec::new())] }
    }

    /// Visits folders until enough files are found; `None` after the last folder. Blocks.
    ///
    /// # Errors
    /// An unreadable folder. A folder that was removed meanwhile is empty.
    pub(crate) fn step(&mut self) -> io::Result<Option<Step>> {
        if self.folders.is_empty() {
            return Ok(None);
        }
        let mut step = Step::default();
        while step.files.len() < FILES_PER_STEP
            && let Some((folder, parts)) = self.folders.pop()
        {
            let entries = match fs::read_dir(&folder) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    continue;
                }
                entries => entries?,
            };
            for entry in entries {
                self.visit(&entry?, &parts, &mut step)?;
            }
        }
        Ok(Some(step))
    }

    fn visit(&mut self, entry: &fs::DirEntry, parts: &[String], step: &mut Step) -> io::Result<()> {
        // Metadata of the entry itself, not of a link's target.
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            metadata => metadata?,
        };
        if metadata.is_symlink() {
            step.links.push(entry.path());
            return Ok(());
        }
        let Some(name) =
            entry.file_name().to_str().filter(|name| PathPart::parse(name).is_ok()).map(str::to_owned)
        else {
            // No object can have such a name.
            return Ok(());
        };
        let parts: Vec<String> = parts.iter().cloned().chain([name]).collect();
        if metadata.is_dir() {
            self.folders.push((entry.path(), parts));
        } else if metadata.is_file() && parts.last().is_some_and(|name| !is_unfinished(name)) {
            let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            step.files.push(Found { parts, bytes: metadata.len(), modified });
        }
        Ok(())
    }
}

/// Whether object_store reserves the name for files that are being written.
fn is_unfinished(name: &str) -> bool {
    name.split_once('#').is_some_and(|(_, id)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

impl Found {
    /// The file as listed by a store, below the store's name of the walk's start.
    pub(crate) fn into_meta(self, start: &Path) -> ObjectMeta {
        let location = self.parts.iter().fold(start.clone(), |path, part| {
            path.join(PathPart::parse(part).expect("the walk skips names that no object can have"))
        });
        ObjectMeta {
            location,
            last_modified: self.modified.into(),
            size: self.bytes,
            e_tag: None,
            version: None,
        }
    }
}
