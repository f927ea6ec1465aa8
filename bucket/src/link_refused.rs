//! Why a request that leads through a symbolic link is refused.

use std::path::PathBuf;

/// A symbolic link below a folder in which no link is followed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is a symbolic link, and none is followed below the folder {}: replace the link by what it leads to, or remove it",
    link.display(), folder.display()
)]
pub(crate) struct LinkRefused {
    pub link: PathBuf,
    pub folder: PathBuf,
}
