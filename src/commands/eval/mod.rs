//! `capfilt eval`: how good a filter or a captioner is on pairs that it was not trained on.

mod caption;
mod retrieval;

use crate::{
    args::{EvalArgs, EvalDataArgs, EvalWhat},
    dataset,
    exit::{Blame as _, Ending, Failure},
    say,
};
use anyhow::anyhow;
use capfilt_bucket::Place;
use capfilt_evaluate::{Collection, EvaluateError, read};
use capfilt_schemas::settings::training_data::DataSource;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// Time between two lines when there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

pub async fn run(args: &EvalArgs) -> Ending {
    match &args.what {
        EvalWhat::Retrieval(args) => retrieval::run(args).await,
        EvalWhat::Caption(args) => caption::run(args).await,
    }
}

/// Reads images and texts; `note` is a column to read besides.
async fn collection(asked: &EvalDataArgs, note: Option<&str>) -> Result<Collection, Failure> {
    let source = DataSource::of_files(&asked.input, &asked.key, &asked.image, &asked.text, asked.filter.as_deref());
    // A plan leaves out what its own job writes; nothing is written here.
    let shards =
        dataset::plan(&source, &format!("{}.eval", source.url.trim_end_matches('/')), dataset::Named::Options).await?;
    let place = Place::open(&source.url).usage()?;
    let columns = dataset::columns(&source)?;
    let found = read(&place, &shards, &columns, note, asked.images as usize).await;
    let found = match found {
        Err(error @ EvaluateError::NotText(_)) => Err(error).usage()?,
        found => found.environment()?,
    };
    let texts: usize = found.images.iter().map(|image| image.texts.len()).sum();
    if found.images.is_empty() {
        let reason = "are --image and --text its columns?";
        return Err(anyhow!("{}: no row with an image and a text; {reason}", asked.input)).usage();
    }
    let skipped = if found.skipped > 0 { format!("; {} rows skipped", found.skipped) } else { String::new() };
    say::line(format!("{} images, {texts} texts{skipped}", found.images.len()));
    Ok(found)
}

/// Runs long work, on the thread that loaded the models, and shows how far it is.
fn shown<T>(steps: usize, work: impl FnOnce(&mut dyn FnMut(usize)) -> Result<T, EvaluateError>) -> Result<T, Failure> {
    let style = ProgressStyle::with_template("{bar:24} {pos}/{len} images  {eta} left").expect("the template is sound");
    let worked = tokio::task::block_in_place(move || {
        let bar = say::may_draw().then(|| ProgressBar::new(steps as u64).with_style(style));
        say::set_bar(bar.clone());
        let mut said = Instant::now();
        let result = work(&mut |done| match &bar {
            Some(bar) => bar.set_position(done as u64),
            None if said.elapsed() >= LINE_EVERY => {
                said = Instant::now();
                say::line(format!("{done}/{steps} images"));
            }
            None => {}
        });
        say::set_bar(None);
        bar.iter().for_each(ProgressBar::finish_and_clear);
        result
    });
    match worked {
        Err(error @ EvaluateError::TooFew { .. }) => Err(error).usage(),
        result => result.environment(),
    }
}
