//! The image set and its pixels from Pillow, made once per test binary by the Python of `make setup`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub struct Reference {
    pub images: Vec<PillowImage>,
    pub cuts: Vec<PillowCut>,
    folder: tempfile::TempDir,
}

/// An image file, and Pillow's size of it, or its error.
pub struct PillowImage {
    pub name: String,
    pub size: Result<(u32, u32), String>,
}

/// The first bytes of an image file, and whether Pillow "decoded" or "refused" them.
pub struct PillowCut {
    pub name: String,
    pub length: usize,
    pub pillow: String,
}

impl Reference {
    /// Bytes of an image file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        read(self.folder.path().join("images").join(name))
    }

    /// Pillow's RGB pixels at a side; side 0 is the decoded image.
    pub fn pixels(&self, name: &str, side: usize) -> Vec<u8> {
        read(self.folder.path().join("pillow").join(format!("{name}.{side}.raw")))
    }

    /// Pillow's RGB pixels of the centre, 224 × 224; `None` if Pillow would resize to a huge image.
    pub fn cropped(&self, name: &str) -> Option<Vec<u8>> {
        let path = self.folder.path().join("pillow").join(format!("{name}.crop.raw"));
        path.exists().then(|| read(path))
    }

    /// Pillow's RGB pixels after EXIF rotation.
    pub fn turned(&self, name: &str) -> Vec<u8> {
        read(self.folder.path().join("pillow").join(format!("{name}.turned.raw")))
    }
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// # Panics
/// The tests' Python is missing: a comparison that did not run must not pass.
pub fn pillow_reference() -> &'static Reference {
    static REFERENCE: OnceLock<Reference> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (images, pillow) = (folder.path().join("images"), folder.path().join("pillow"));
        std::fs::create_dir(&pillow).expect("a new folder");
        let repository =
            Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is in the repository");
        run(repository, &repository.join("scripts/make_images.py"), &[&images]);
        run(repository, &repository.join("pipeline/tests/pillow_reference.py"), &[&images, &pillow]);
        Reference {
            images: rows(&pillow.join("index.tsv")).iter().map(|row| parse_image(row)).collect(),
            cuts: rows(&pillow.join("truncated.tsv")).iter().map(|row| parse_cut(row)).collect(),
            folder,
        }
    })
}

fn run(repository: &Path, script: &Path, arguments: &[&Path]) {
    let python = repository.join(".venv/bin/python");
    assert!(python.exists(), "{} is not there: run make setup", python.display());
    let output =
        Command::new(&python).arg(script).args(arguments).output().expect("the Python of the tests runs");
    assert!(output.status.success(), "{}: {}", script.display(), String::from_utf8_lossy(&output.stderr));
}

fn rows(table: &Path) -> Vec<Vec<String>> {
    let text = String::from_utf8(read(table.to_owned())).expect("the table is UTF-8");
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn parse_image(row: &[String]) -> PillowImage {
    let number = |at: usize| row[at].parse().expect("a size is a number");
    let size = if row[1] == "error" { Err(row[2].clone()) } else { Ok((number(1), number(2))) };
    PillowImage { name: row[0].clone(), size }
}

fn parse_cut(row: &[String]) -> PillowCut {
    let length = row[1].parse().expect("a length is a number");
    PillowCut { name: row[0].clone(), length, pillow: row[2].clone() }
}
