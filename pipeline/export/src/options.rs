//! Options that apply to some formats only.

use super::ExportError;
use capfilt_schemas::export::{Format, Options, Per};
use std::{fs, path::Path};

/// The options as the format takes them: a sample of an image folder is one image.
///
/// # Errors
/// An option that the format does not have.
pub fn checked(format: Format, options: Options) -> Result<Options, ExportError> {
    let is_list = matches!(format, Format::Json | Format::Llava);
    let refused = |option, formats| Err(ExportError::OtherFormat { option, formats });
    match format {
        _ if !options.image_root.is_empty() && !is_list => refused("--image-root", "json"),
        _ if !options.prompts.is_empty() && format != Format::Llava => refused("--prompts", "llava"),
        Format::Imagefolder => Ok(Options { per: Per::Image, ..options }),
        _ => Ok(options),
    }
}

/// Instructions of a text file: its lines with text.
///
/// # Errors
/// A file that cannot be read or has no text.
pub fn prompts(file: &Path) -> Result<Vec<String>, ExportError> {
    let fail = |why: String| ExportError::Prompts { file: file.to_owned(), why };
    let text = fs::read_to_string(file).map_err(|error| fail(error.to_string()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() { Err(fail("it has no line with text".to_owned())) } else { Ok(lines) }
}
