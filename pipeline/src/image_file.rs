//! Image files, prepared as a job prepares the images of its rows.

use crate::{
    framing::{Framing, Square},
    image::{ImageLimits, ImageSkip, decode},
    model::PixelBatch,
    resize::Resizer,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Reason why an image file has no pixels.
#[derive(Debug, thiserror::Error)]
pub enum ImageFileError {
    /// The folder cannot be listed.
    #[error("cannot list {}", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the file system.
        source: io::Error,
    },
    /// The file is not an image that a job would judge.
    #[error("{}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Reason not to judge the image.
        source: ImageSkip,
    },
}

/// Lists the files of a folder, sorted by name.
///
/// # Errors
/// A folder that cannot be listed.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, ImageFileError> {
    let entries = fs::read_dir(folder);
    let entries = entries.map_err(|source| ImageFileError::List { path: folder.to_owned(), source })?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Reads the bytes of a file.
///
/// # Errors
/// A file that cannot be read.
pub fn bytes(path: &Path) -> Result<Vec<u8>, ImageFileError> {
    fs::read(path).map_err(|source| ImageFileError::Read { path: path.to_owned(), source })
}

/// Reads the bytes of a file, and its pixels at the model's size as a batch of one image.
///
/// # Errors
/// A file that cannot be read or decoded.
pub fn read(path: &Path, side: usize) -> Result<(Vec<u8>, PixelBatch), ImageFileError> {
    let bytes = bytes(path)?;
    let pixels = pixels(path, &bytes, Square { side, framing: Framing::Squash })?;
    Ok((bytes, pixels))
}

/// Pixels of the square that a model sees, as a batch of one image. `bytes` are those of the file `path`.
///
/// # Errors
/// A file that cannot be decoded.
pub fn pixels(path: &Path, bytes: &[u8], square: Square) -> Result<PixelBatch, ImageFileError> {
    let image = decode(bytes, &ImageLimits::default())
        .map_err(|source| ImageFileError::Decode { path: path.to_owned(), source })?;
    let mut pixels = Vec::new();
    Resizer::new().square(&image, square, &mut pixels);
    let mut batch = PixelBatch::with_capacity(square.side, 1);
    batch.push(&pixels);
    Ok(batch)
}
