//! `capfilt train`: pre-training of MED, fine-tuning of filter, captioner and answerer.

use crate::args::TrainArgs;
use anyhow::Context as _;
use capfilt_console::{
    self as console, Ending, Exit, ExitCodeExt as _, HumanDuration, Progress, outln, shutdown,
};
use capfilt_runtime::{checkpoints, training_data};
use capfilt_schemas::settings::train::Training;
use capfilt_train::{Event, Outcome, Report, TrainError, train};
use serde_json::json;
use std::path::Path;

pub async fn run(args: &TrainArgs) -> Ending {
    let stop = shutdown::flag();
    let task = args.task;
    let text = std::fs::read_to_string(&args.config);
    let text = text
        .with_context(|| format!("cannot read the settings {}", args.config.display()))
        .or_usage_error()?;
    let mut settings = Training::parse(task, &text, &args.overrides)
        .with_context(|| format!("settings {}", args.config.display()))
        .or_usage_error()?;
    let from = checkpoints::local(Path::new(&settings.model.from)).await?;
    settings.model.from = from.display().to_string();
    let dataset = training_data::open(&settings, |_| training_data::Named::of(task)).await?;
    console::line(format!("{} pairs an epoch, data {}", dataset.pairs(), dataset.version()));

    let learning = tokio::task::spawn_blocking(move || {
        capfilt_blip::keep_threads();
        let mut progress = Progress::start("{bar:24} {pos}/{len} steps  {msg}");
        progress.make_line_due();
        let mut report = Report::default();
        let mut show = |event: Event<'_>| show(&mut progress, &mut report, event);
        let outcome = train(task, &settings, dataset, &stop, &mut show);
        progress.finish();
        outcome
    });
    let outcome = learning.await.or_environment_error()?;
    match outcome {
        Ok(Outcome::Done(model)) => {
            if args.json {
                outln!("{}", json!({ "model": model }));
            } else {
                outln!("{}", model.display());
            }
            Ok(Exit::Done)
        }
        Ok(Outcome::Stopped(checkpoint)) => {
            console::line(format!("stopped; the same command resumes from {}", checkpoint.display()));
            Ok(Exit::Interrupted)
        }
        Err(error @ (TrainError::Settings(_) | TrainError::Load(_) | TrainError::Weights(_))) => {
            Err(error).or_usage_error()
        }
        Err(error) => Err(error).or_environment_error(),
    }
}

/// Shows an event as lines or progress.
fn show(progress: &mut Progress, report: &mut Report, event: Event<'_>) {
    let Event::Line(line) = event else { return report.lines(&event).iter().for_each(console::line) };
    let (step, steps, left) = (line.step, report.steps(), HumanDuration(report.time_left(line)));
    // The last step has a line.
    if step == steps {
        progress.make_line_due();
    }
    let message = format!("{line}  {left} left");
    progress.show(step, steps, message, |message| format!("step {step}/{steps}  {message}"));
}
