//! `capfilt export`: writes D′ as a data set for other trainers.

mod sources;

use crate::args::ExportArgs;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_export::{
    Exclusions, Export, ExportError, Found, Progress, checked, clean, export, find, nothing_left, prompts,
    scratch_folder, summary,
};
use capfilt_schemas::export::{ExportRecord, Options};
use capfilt_store::Location;
use std::path::PathBuf;

pub async fn run(args: &ExportArgs) -> Ending {
    let options = blamed(options(args))?;
    let bucket = Location::open_without_links(&args.to).or_usage_error()?;
    let exclusions = blamed(Exclusions::read(&args.samples.exclude))?;
    let asked = Export { sources: sources::open(args).await?, format: args.format, options, exclusions };
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
            let show = |at: Progress| {
                shown.show(at.done as u64, at.all as u64, at.to_string(), |of| {
                    format!("{}/{} {of}", at.done, at.all)
                });
            };
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

fn options(args: &ExportArgs) -> Result<Options, ExportError> {
    let (samples, files) = (&args.samples, &args.files);
    let options = Options {
        per: samples.per,
        shuffle: samples.shuffle.0,
        files: files.files,
        file_mib: files.file_mib,
        min_itm: samples.min_itm,
        clean_text: samples.clean_text,
        image_root: files.image_root.clone(),
        dedup_images: samples.dedup_images,
        licence_column: samples.licence_column.clone(),
        prompts: files.prompts.as_deref().map_or(Ok(Vec::new()), prompts)?,
        ..Options::default()
    };
    checked(args.format, options)
}

/// Folder for samples that are read but not yet written.
fn scratch(args: &ExportArgs, bucket: &Location) -> PathBuf {
    args.files.scratch.clone().unwrap_or_else(|| scratch_folder(bucket))
}

fn blamed<T>(result: Result<T, ExportError>) -> Result<T, Failure> {
    match result {
        Err(error) if error.is_of_request() => Err(error).or_usage_error(),
        result => result.or_environment_error(),
    }
}
