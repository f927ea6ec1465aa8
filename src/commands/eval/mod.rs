//! `capfilt eval`: quality of a model on data outside of its training data.

mod calibration;
mod caption;
mod nlvr;
mod retrieval;
mod vqa;

use crate::args::{EvalArgs, EvalWhat};
use anyhow::anyhow;
use capfilt_console::{self as console, Ending, ExitCodeExt as _, Failure, Progress};
use capfilt_evaluate::{Collection, EvalDataArgs, EvaluateError, read};
use capfilt_pipeline::frames::Frames;
use capfilt_runtime::training_data;
use capfilt_schemas::settings::training_data::DataSource;

pub async fn run(args: &EvalArgs) -> Ending {
    match &args.what {
        EvalWhat::Retrieval(args) => retrieval::run(args, None).await,
        EvalWhat::VideoRetrieval(args) => retrieval::run(&args.of, Some(args.frames())).await,
        EvalWhat::Caption(args) => caption::run(args).await,
        EvalWhat::Vqa(args) => vqa::run(args, None).await,
        EvalWhat::VideoQa(args) => vqa::run(&args.of, Some(Frames::of_tokens(args.frames))).await,
        EvalWhat::Calibration(args) => calibration::run(args).await,
        EvalWhat::Nlvr(args) => nlvr::run(args).await,
    }
}

/// Reads images, or clips with these frames, and texts; `note` is an additional column to read.
async fn collection(
    asked: &EvalDataArgs,
    note: Option<&str>,
    clips: Option<Frames>,
) -> Result<Collection, Failure> {
    let source =
        DataSource::of_files(&asked.input, &asked.key, &asked.image, &asked.text, asked.filter.as_deref());
    let (place, shards, columns) = training_data::opened(&source, clips.is_some()).await?;
    let found = read(&place, &shards, &columns, note, asked.images as usize, clips).await;
    let found = match found {
        Err(error @ EvaluateError::NotText(_)) => Err(error).or_usage_error()?,
        found => found.or_environment_error()?,
    };
    let texts: usize = found.images.iter().map(|image| image.texts.len()).sum();
    if found.images.is_empty() {
        let reason = "are --image and --text its columns?";
        return Err(anyhow!("{}: no row with an image and a text; {reason}", asked.input)).or_usage_error();
    }
    let skipped = if found.skipped > 0 { format!("; {} rows skipped", found.skipped) } else { String::new() };
    console::line(format!("{} images, {texts} texts{skipped}", found.images.len()));
    Ok(found)
}

/// Runs long work on the thread that loaded the models, and shows its progress.
fn shown<T>(
    steps: usize,
    work: impl FnOnce(&mut dyn FnMut(usize)) -> Result<T, EvaluateError>,
) -> Result<T, Failure> {
    let worked = tokio::task::block_in_place(move || {
        let mut progress = Progress::start("{bar:24} {pos}/{len} rows  {eta} left");
        let line = |done| format!("{done}/{steps} rows");
        let result = work(&mut |done| {
            progress.show(done as u64, steps as u64, String::new(), |_| line(done));
        });
        progress.finish();
        result
    });
    match worked {
        Err(error @ (EvaluateError::TooFew { .. } | EvaluateError::OneText)) => Err(error).or_usage_error(),
        result => result.or_environment_error(),
    }
}
