//! Error of a request whose path leads through a symbolic link.

use std::path::PathBuf;

/// A symbolic link below a folder in which no link is followed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is a symbolic link, and links below the folder {} are not followed: replace the link by its target, \
     or remove it",
    link.display(), folder.display()
)]
pub(crate) struct LinkRefused {
    pub link: PathBuf,
    pub folder: PathBuf,
}
