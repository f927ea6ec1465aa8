//! Reads the columns of an input before a job has settings, and chooses settings that fit the columns.
//!
//! The columns are those of the first usable file; `guess` chooses those that a job needs, by name and
//! type; `settings_text` writes the settings with the reasons beside them.

mod guess;
mod settings_text;

pub use crate::plan::formats::columns::{Column, Kind};
use crate::plan::{PlanError, formats, input};
use capfilt_schemas::plan::{InputFile, InputFormat};
use capfilt_store::Location;
pub use guess::Guess;
pub use settings_text::{Models, settings_text};

/// Files that are tried until the columns of one can be read.
const TRIED: usize = 5;

/// An input, as far as it can be known without reading all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// URL of the input, as given.
    pub url: String,
    /// Number of input files.
    pub files: usize,
    /// Bytes of all input files.
    pub bytes: u64,
    /// Path of the file whose columns were read.
    pub example: String,
    /// Name of the format of that file, for people.
    pub format: &'static str,
    /// Columns of that file.
    pub columns: Vec<Column>,
    /// The settings that fit the columns.
    pub guess: Guess,
}

impl Inspected {
    /// Files, format and chosen columns, for people.
    pub fn lines(&self) -> [String; 3] {
        let Self { url, files, format, guess, .. } = self;
        let or_none =
            |name: &str| if name.is_empty() { "no column fits".to_owned() } else { name.to_owned() };
        let links = if guess.fetches { " (links, which the job fetches)" } else { "" };
        [
            format!("{url}: {files} files, the first: {format}"),
            format!("image   {}{links}", or_none(&guess.image)),
            format!("text    {}", or_none(&guess.texts.join(", "))),
        ]
    }
}

/// Lists the input and reads the columns of one file. `job_url` may lie below the input.
///
/// # Errors
/// An input without a file, no file with readable columns, and a failing store.
pub async fn inspect(input: &Location, job_url: &str) -> Result<Inspected, PlanError> {
    let files = input::find(input, job_url).await?.files;
    let mut fault = None;
    for file in files.iter().take(TRIED) {
        match formats::columns(input, file).await? {
            Ok(columns) => return Ok(inspected(input, &files, file, columns)),
            Err(why) => fault = fault.or(Some((file.path.clone(), why))),
        }
    }
    let (path, reason) = fault.unwrap_or_default();
    let tried = files.len().min(TRIED);
    Err(PlanError::NothingUsable { url: input.given(), files: tried, path, reason })
}

fn inspected(input: &Location, files: &[InputFile], file: &InputFile, columns: Vec<Column>) -> Inspected {
    let format = InputFormat::of(&file.path);
    Inspected {
        url: input.given(),
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
        example: file.path.clone(),
        format: format.name(),
        guess: Guess::of(format, &columns),
        columns,
    }
}
