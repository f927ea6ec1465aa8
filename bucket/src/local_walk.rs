//! Walking a local folder without following symbolic links.

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

/// A walk under way.
#[derive(Debug)]
pub(crate) struct Walk {
    /// Folders to visit, each with its name parts below the start.
    folders: Vec<(PathBuf, Vec<String>)>,
}

/// What some of the folders hold.
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
    /// A walk through everything below a folder. The folder itself may be a link, or not be there.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folders: vec![(folder, Vec::new())] }
    }

    /// Visits folders until enough files are found; `None` when all were visited. Blocks.
    ///
    /// # Errors
    /// When a folder cannot be read. One that is gone by now is empty.
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
        // The entry's own, not that of what a link leads to.
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
            // A name that no object has.
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

/// Whether object_store keeps a file that is being written under such a name.
fn is_unfinished(name: &str) -> bool {
    name.split_once('#').is_some_and(|(_, id)| !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit()))
}

impl Found {
    /// The file as a store lists it, below the store's name for the start of the walk.
    pub(crate) fn into_meta(self, start: &Path) -> ObjectMeta {
        let location = self.parts.iter().fold(start.clone(), |path, part| {
            path.join(PathPart::parse(part).expect("the walk passes over names that no object has"))
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
