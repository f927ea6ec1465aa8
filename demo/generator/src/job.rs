//! Settings and models of the demo's job, for a program outside of a checkout.

use std::path::{Path, PathBuf};

/// Settings of the job of `make demo`, with locations in a checkout.
const SETTINGS: &str = include_str!("../../demo.toml");

/// Folders with the demo's models, relative to the folder of the program: of a wheel, of an installation.
const BESIDE_PROGRAM: [&str; 2] = ["../share/demo/models", "../share/capfilt/demo/models"];

/// The demo's models are in none of the folders where they can be.
#[derive(Debug, thiserror::Error)]
#[error(
    "the demo's models are neither beside {} nor in demo/models; install the wheel, or run `make install`, \
     or run this command in a checkout",
    .program.display()
)]
pub struct NoModels {
    program: PathBuf,
}

/// Folder of the demo's models: beside the program, or in a checkout that is the current folder.
///
/// # Errors
/// No such folder exists.
pub fn models(program: &Path) -> Result<PathBuf, NoModels> {
    let beside = BESIDE_PROGRAM.iter().filter_map(|path| Some(program.parent()?.join(path)));
    let candidates = beside.chain([PathBuf::from("demo/models")]);
    let found = candidates.filter_map(|path| path.canonicalize().ok()).find(|path| path.is_dir());
    found.ok_or_else(|| NoModels { program: program.to_owned() })
}

/// Settings of the demo's job with other locations of the job, its input and its models.
pub fn settings(job: &str, web: &str, models: &str) -> String {
    let located = [("out/demo", job), ("demo/web", web), ("demo/models", models)];
    located.iter().fold(SETTINGS.to_owned(), |text, (from, to)| {
        text.replace(&format!("\"{from}"), &format!("\"{}", to.replace('\\', "\\\\").replace('"', "\\\"")))
    })
}
