//! `capfilt train`: pre-training of MED, fine-tuning of filter and captioner.

use crate::args::{TrainArgs, TrainTask};
use anyhow::Context as _;
use capfilt_console::{
    self as console, Ending, Exit, ExitCodeExt as _, HumanDuration, Progress, outln, shutdown,
};
use capfilt_runtime::{checkpoints, training_data};
use capfilt_schemas::settings::train::{Task, Training};
use capfilt_train::{
    error::TrainError,
    metrics::Line,
    run::{Event, Outcome, train},
};
use serde_json::json;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub async fn run(args: &TrainArgs) -> Ending {
    let mut stopped = shutdown::on_signal();
    let task = match args.task {
        TrainTask::Pretrain => Task::Pretrain,
        TrainTask::Filter => Task::Filter,
        TrainTask::Captioner => Task::Captioner,
    };
    let text = std::fs::read_to_string(&args.config);
    let text = text
        .with_context(|| format!("cannot read the settings {}", args.config.display()))
        .or_usage_error()?;
    let mut settings = Training::parse(task, &text, &args.overrides)
        .with_context(|| format!("settings {}", args.config.display()))
        .or_usage_error()?;
    let from = checkpoints::local(Path::new(&settings.model.from)).await?;
    settings.model.from = from.display().to_string();
    let dataset = training_data::open(&settings, |_| training_data::Named::Data).await?;
    console::line(format!("{} pairs an epoch, data {}", dataset.pairs(), dataset.version()));

    let stop = Arc::new(AtomicBool::new(false));
    let shared_stop = Arc::clone(&stop);
    tokio::spawn(async move {
        if stopped.wait_for(|stopped| *stopped).await.is_ok() {
            shared_stop.store(true, Ordering::Relaxed);
        }
    });
    let learning = tokio::task::spawn_blocking(move || {
        let mut shown = Shown::new();
        let outcome = train(task, &settings, dataset, &stop, &mut |event| shown.show(event));
        shown.progress.finish();
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

/// Progress of a training run.
struct Shown {
    progress: Progress,
    steps: u64,
    done_before: u64,
    started: Instant,
    has_warned_of_stuck: bool,
}

impl Shown {
    fn new() -> Self {
        let mut progress = Progress::start("{bar:24} {pos}/{len} steps  {msg}");
        progress.make_line_due();
        Self { progress, steps: 0, done_before: 0, started: Instant::now(), has_warned_of_stuck: false }
    }

    fn show(&mut self, event: Event<'_>) {
        match event {
            Event::Started { steps, done, parameters, device, drawn } => {
                (self.steps, self.done_before, self.started) = (steps, done, Instant::now());
                let where_from = if done > 0 { format!(", resuming at {done}") } else { String::new() };
                let millions = parameters as f64 / 1e6;
                console::line(format!(
                    "{steps} steps{where_from}; {millions:.2} million parameters on {device:?}"
                ));
                if done == 0 && !drawn.is_empty() {
                    let drawn = drawn.join(", ");
                    console::line(format!("random initialisation, because model.from has none: {drawn}"));
                }
            }
            Event::Line(line) => self.line(line),
            Event::Saved(path) => console::line(format!("saved {}", path.display())),
            Event::MatchingStuck if !self.has_warned_of_stuck => {
                self.has_warned_of_stuck = true;
                console::line(
                    "warning: the ITM loss stays at 0.6365, the loss of a constant answer; more data, longer \
                     texts or a lower learning rate may help",
                );
            }
            Event::MatchingStuck => {}
        }
    }

    fn line(&mut self, line: &Line) {
        let losses = [("itc", line.itc), ("itm", line.itm), ("lm", line.lm)];
        let losses = losses.iter().filter_map(|(name, loss)| Some(format!("{name} {:.3}", (*loss)?)));
        let losses = losses.collect::<Vec<_>>().join(" ");
        let per_step = self.started.elapsed().as_secs_f64() / (line.step - self.done_before).max(1) as f64;
        let left = Duration::from_secs_f64(per_step * (self.steps - line.step) as f64);
        let message = format!("{losses}  {:.0} img/s  {} left", line.images_per_second, HumanDuration(left));
        if line.step == self.steps {
            self.progress.make_line_due();
        }
        let text = |message| format!("step {}/{}  {message}", line.step, self.steps);
        self.progress.show(line.step, self.steps, message, text);
    }
}
