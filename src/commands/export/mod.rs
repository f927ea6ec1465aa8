//! `capfilt export`: writes D′ as a data set for other trainers.

mod sources;

use crate::args::{ExportArgs, ExportFileArgs, ExportFormat};
use anyhow::{Context as _, anyhow};
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_export::{
    Export, ExportError, Found, Progress, Stage, clean, export, find, nothing_left, scratch_folder, summary,
};
use capfilt_schemas::export::{ExportRecord, Options, Per};
use capfilt_store::Location;
use std::path::{Path, PathBuf};

pub async fn run(args: &ExportArgs) -> Ending {
    let options = options(args)?;
    let bucket = Location::open_without_links(&args.to).or_usage_error()?;
    let asked = Export { sources: sources::open(args).await?, format: args.format.into(), options };
    let made = match blamed(find(&bucket, &asked).await)? {
        Found::Finished(found) => {
            console::line("this export is finished; nothing to do");
            blamed(clean(&bucket, &scratch(args, &bucket)).await)?;
            *found
        }
        found => {
            if found == Found::Begun {
                console::line("resuming an unfinished export of the same sources and options");
            }
            let mut shown = console::Progress::start("{bar:24} {pos}/{len} {msg}  {eta} left");
            let show = |progress| show(&mut shown, progress);
            let made = export(&bucket, asked, &scratch(args, &bucket), show).await;
            shown.finish();
            blamed(made)?
        }
    };
    if args.json {
        outln!("{}", serde_json::to_string(&made).or_environment_error()?);
    } else {
        outln!("{}", summary(&made, &bucket));
    }
    Ok(ending(&made))
}

/// Chooses the exit code. An empty export is not a success: the sources, the condition or the threshold are
/// probably wrong.
fn ending(made: &ExportRecord) -> Exit {
    if made.counts.samples > 0 {
        return Exit::Done;
    }
    console::line(nothing_left(made));
    Exit::WithQuarantine
}

fn options(args: &ExportArgs) -> Result<Options, Failure> {
    let ExportFileArgs { image_root, prompts, .. } = &args.files;
    let refused = |option: &str, formats: &str| {
        let error = anyhow!("{option} applies to lists only: add --format {formats}, or leave it out");
        Err(error).or_usage_error()
    };
    if !image_root.is_empty() && !matches!(args.format, ExportFormat::Json | ExportFormat::Llava) {
        return refused("--image-root", "json");
    }
    if prompts.is_some() && args.format != ExportFormat::Llava {
        return refused("--prompts", "llava");
    }
    let per_image = args.format == ExportFormat::Imagefolder;
    Ok(Options {
        per: if per_image { Per::Image } else { args.samples.per.into() },
        shuffle: args.samples.shuffle.0,
        files: args.files.files,
        file_mib: args.files.file_mib,
        min_itm: args.samples.min_itm,
        clean_text: args.samples.clean_text,
        image_root: image_root.clone(),
        prompts: prompts.as_deref().map_or(Ok(Vec::new()), lines_of)?,
    })
}

/// The lines of a file with text in them; at least one.
fn lines_of(file: &Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()));
    let text = text.or_usage_error()?;
    let lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(anyhow!("{} has no line with text", file.display())).or_usage_error();
    }
    Ok(lines)
}

/// Folder for samples that are read but not yet written.
fn scratch(args: &ExportArgs, bucket: &Location) -> PathBuf {
    args.files.scratch.clone().unwrap_or_else(|| scratch_folder(bucket))
}

/// Shows the progress of an export.
fn show(display: &mut console::Progress, progress: Progress) {
    let of = match progress.stage {
        Stage::Reading => format!("parts read, {} pairs", progress.pairs),
        Stage::Writing => format!("files written, {} samples", progress.pairs),
    };
    let Progress { done, all, .. } = progress;
    display.show(done as u64, all as u64, of, |of| format!("{done}/{all} {of}"));
}

fn blamed<T>(result: Result<T, ExportError>) -> Result<T, Failure> {
    match result {
        Err(error @ (ExportError::Another { .. } | ExportError::Strange { .. })) => {
            Err(error).or_usage_error()
        }
        result => result.or_environment_error(),
    }
}
