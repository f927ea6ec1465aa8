//! Reads an image file of the command line and prepares it as a job does.

use anyhow::Context as _;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_pipeline::{
    image::{ImageLimits, decode},
    model::PixelBatch,
    resize::Resizer,
};
use std::path::{Path, PathBuf};

/// Lists the files of a folder, sorted by name.
pub fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// Reads the bytes of a file, and its pixels at the model's size as a batch of one image.
pub fn read(path: &Path, side: usize) -> Result<(Vec<u8>, PixelBatch), Failure> {
    let bytes =
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display())).or_usage_error()?;
    let image = decode(&bytes, &ImageLimits::default())
        .with_context(|| path.display().to_string())
        .or_usage_error()?;
    let mut pixels = Vec::new();
    Resizer::new().squash(&image, side, &mut pixels);
    let mut batch = PixelBatch::with_capacity(side, 1);
    batch.push(&pixels);
    Ok((bytes, batch))
}
