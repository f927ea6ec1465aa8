//! A training run, from its settings to its model, with metrics and resumable checkpoints.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use capfilt_blip::precision;
use capfilt_schemas::settings::train::{Run as RunSettings, Task, Training};
use tch::{Device, Kind};

use crate::{
    adamw::AdamW,
    checkpoint::{Checkpoints, State, restore},
    data::{Cursor, Dataset, Loader},
    error::TrainError,
    learner::{Learner, StepShape},
    lineage::{self, Lineage, Parent},
    lock,
    metrics::Line,
    model_files::{self, Description},
    run_digest::{digest, seed_of},
    schedule::{Place, ahead, alpha, learning_rate},
    setup::learner,
    start::Start,
    train_log::{Moment, TrainLog},
};

/// Progress event of a run.
pub enum Event<'a> {
    /// Before the first step: number of steps, finished steps, trained parameters, and tensors that the
    /// initial checkpoint does not have.
    Started {
        /// Number of all optimiser steps.
        steps: u64,
        /// Number of finished optimiser steps.
        done: u64,
        /// Number of trained parameters.
        parameters: i64,
        /// Device of the run.
        device: Device,
        /// Tensors that the initial checkpoint does not have; they are drawn at random.
        drawn: &'a [String],
    },
    /// A line of the metrics.
    Line(&'a Line),
    /// A checkpoint was written to this path.
    Saved(&'a Path),
    /// The matching head gives a constant answer.
    MatchingStuck,
}

/// Result of a run.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Path of the finished model.
    Done(PathBuf),
    /// The run was stopped; path of the checkpoint from which it resumes.
    Stopped(PathBuf),
}

/// Trains until the end or `stop`; resumes a run of the same folder, settings and data.
///
/// # Errors
/// Settings, data or checkpoint are wrong, the device fails, or a loss is not a number. Checkpoints stay
/// valid.
pub fn train(
    task: Task,
    settings: &Training,
    dataset: Dataset,
    stop: &AtomicBool,
    report: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome, TrainError> {
    let folder = PathBuf::from(&settings.run.folder);
    fs::create_dir_all(&folder).map_err(|source| TrainError::Io {
        what: "create",
        path: folder.clone(),
        source,
    })?;
    let _lock = lock::take(&folder)?;
    let digest = digest(task, settings, &dataset);
    let mut run = Run::open(task, settings, dataset, folder, digest)?;
    report(Event::Started {
        steps: run.steps,
        done: run.step,
        parameters: run.learner.parameters.layout.total(),
        device: run.learner.device,
        drawn: &run.drawn,
    });
    while run.step < run.steps {
        if stop.load(Ordering::Relaxed) {
            return Ok(Outcome::Stopped(run.save(report)?));
        }
        run.step(report)?;
        if run.step.is_multiple_of(u64::from(settings.run.save_every)) && run.step < run.steps {
            run.save(report)?;
        }
    }
    run.finish(report).map(Outcome::Done)
}

struct Run<'a> {
    task: Task,
    settings: &'a Training,
    folder: PathBuf,
    digest: String,
    tokenizer: PathBuf,
    parent: Option<Box<Parent>>,
    drawn: Vec<String>,
    data: lineage::Data,
    learner: Learner,
    optimizer: AdamW,
    loader: Loader,
    checkpoints: Checkpoints,
    log: TrainLog,
    /// Finished optimiser steps, and number of all.
    step: u64,
    steps: u64,
    /// Optimiser steps of one epoch.
    steps_per_epoch: u64,
    cursor: Cursor,
    /// Last step that is saved in a checkpoint.
    saved: u64,
}

/// Steps of one epoch, and of the whole run.
///
/// # Errors
/// When the data has too few pairs for one step.
fn steps(run: &RunSettings, dataset: &Dataset) -> Result<(u64, u64), TrainError> {
    let of_epoch = dataset.steps_per_epoch() / u64::from(run.accumulate);
    if of_epoch == 0 {
        return Err(TrainError::Settings(format!(
            "{} pairs are fewer than one step of {} × {} pairs; lower run.batch or run.accumulate",
            dataset.pairs(),
            run.accumulate,
            run.batch
        )));
    }
    let steps = u64::from(run.epochs) * of_epoch;
    Ok((of_epoch, if run.max_steps > 0 { steps.min(run.max_steps) } else { steps }))
}

impl<'a> Run<'a> {
    fn open(
        task: Task,
        settings: &'a Training,
        dataset: Dataset,
        folder: PathBuf,
        digest: String,
    ) -> Result<Self, TrainError> {
        let run = &settings.run;
        let (steps_per_epoch, steps) = steps(run, &dataset)?;
        let mut start = Start::open(&settings.model, &settings.sizes)?;
        let data = lineage::Data { version: dataset.version().to_owned(), pairs: dataset.pairs() };
        let mut learner = learner(task, settings, &mut start)?;
        let mut optimizer = AdamW::new(learner.parameters.vector())?;
        let checkpoints = Checkpoints::open(&folder, run.keep as usize)?;
        let (step, cursor) = match checkpoints.newest()? {
            Some(path) => {
                let state = restore(&path, &digest, &mut learner, &mut optimizer)?;
                (state.step, state.cursor)
            }
            None => (0, Cursor { epoch: 0, step: 0 }),
        };
        let side = learner.parts.config.vision.image_size as usize;
        let parent = parent(start.weights_paths())?;
        Ok(Self {
            task,
            settings,
            digest,
            tokenizer: start.tokenizer,
            parent,
            drawn: start.drawn,
            data,
            loader: Loader::start(dataset, side, cursor).map_err(|source| TrainError::Io {
                what: "start a thread for",
                path: folder.clone(),
                source,
            })?,
            optimizer,
            log: TrainLog::open(&folder, step)?,
            checkpoints,
            folder,
            learner,
            step,
            steps,
            steps_per_epoch,
            cursor,
            saved: step,
        })
    }

    /// Runs one optimiser step.
    fn step(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<(), TrainError> {
        let run = &self.settings.run;
        let place = Place {
            epoch: self.step / self.steps_per_epoch,
            step: self.step % self.steps_per_epoch,
            steps_per_epoch: self.steps_per_epoch,
            epochs: u64::from(run.epochs),
        };
        let objective = &self.settings.objective;
        let alpha = alpha(objective.alpha, objective.alpha_epochs, place);
        for part in 0..run.accumulate {
            let asked = Instant::now();
            let batch = self.loader.next()?;
            self.log.add_wait(asked);
            let shape = StepShape {
                seed: seed_of(run.seed, self.step, part),
                alpha,
                weight: 1.0 / f64::from(run.accumulate),
                first_of_step: part == 0,
                ahead: ahead(u64::from(objective.causal_steps), self.step),
            };
            let losses = self.learner.learn(&batch, shape)?;
            self.log.add_batch(&losses, batch.texts.len() as u64);
            self.cursor = batch.cursor;
        }
        let rate = learning_rate(&self.settings.optimizer, place);
        let norm = self.learner.parameters.step(&mut self.optimizer, &self.settings.optimizer, rate)?;
        self.log.add_gradient(&norm);
        self.step += 1;
        if self.step.is_multiple_of(u64::from(run.log_every)) || self.step == self.steps {
            let at = Moment {
                step: self.step,
                epoch: self.step as f64 / self.steps_per_epoch as f64,
                learning_rate: rate,
                alpha,
                temperature: self.learner.parameters.temperature()?.double_value(&[]),
                skipped_rows: self.loader.skipped(),
            };
            self.log(at, report)?;
        }
        Ok(())
    }

    fn log(&mut self, at: Moment, report: &mut dyn FnMut(Event<'_>)) -> Result<(), TrainError> {
        let line = self.log.line(at, self.saved)?;
        report(Event::Line(&line));
        if self.log.push(line)? {
            report(Event::MatchingStuck);
        }
        Ok(())
    }

    /// Writes a checkpoint; weights that are not finite never replace a valid checkpoint.
    fn save(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf, TrainError> {
        let sum = self.learner.parameters.vector().f_detach()?.f_sum(None::<Kind>)?.double_value(&[]);
        if !sum.is_finite() {
            self.log.means(self.step, self.saved)?;
            return Err(TrainError::NotANumber {
                step: self.step,
                itc: sum,
                itm: sum,
                lm: sum,
                saved: self.saved,
            });
        }
        let state = State::new(self.step, self.cursor, &self.learner, &self.digest);
        let lineage = self.lineage()?;
        let path = self.checkpoints.save(&state, &self.learner, &self.optimizer, &self.describe(&lineage))?;
        self.log.draw()?;
        self.saved = self.step;
        report(Event::Saved(&path));
        Ok(path)
    }

    /// Writes the last checkpoint, and the model in the requested precision.
    fn finish(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf, TrainError> {
        if self.saved < self.step || self.checkpoints.newest()?.is_none() {
            self.save(report)?;
        }
        let (path, unfinished) = (self.folder.join("model"), self.folder.join("model.unfinished"));
        let io = |what, path: &Path| {
            let path = path.to_path_buf();
            move |source| TrainError::Io { what, path, source }
        };
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(io("remove", &unfinished))?;
        }
        fs::create_dir_all(&unfinished).map_err(io("create", &unfinished))?;
        let lineage = self.lineage()?;
        let kind = precision::kind(self.settings.run.save_precision);
        model_files::write(&unfinished, &self.learner.parameters, kind, &self.describe(&lineage))?;
        if path.exists() {
            fs::remove_dir_all(&path).map_err(io("remove", &path))?;
        }
        fs::rename(&unfinished, &path).map_err(io("rename to", &path))?;
        Ok(path)
    }

    fn lineage(&self) -> Result<Lineage, TrainError> {
        Ok(Lineage {
            version: lineage::VERSION,
            task: self.task,
            capfilt: env!("CARGO_PKG_VERSION").to_owned(),
            steps: self.step,
            epochs: self.step as f64 / self.steps_per_epoch as f64,
            data: self.data.clone(),
            settings: serde_json::to_value(self.settings)
                .map_err(|_| TrainError::Bug("the settings cannot be written as JSON"))?,
            parent: self.parent.clone(),
        })
    }

    fn describe<'b>(&'b self, lineage: &'b Lineage) -> Description<'b> {
        Description {
            task: self.task,
            config: &self.learner.parts.config,
            normalisation: &self.learner.normalisation,
            tokenizer: &self.tokenizer,
            lineage,
            label_smoothing: self.settings.objective.label_smoothing,
        }
    }
}

fn parent(weights: Option<(&Path, Vec<PathBuf>)>) -> Result<Option<Box<Parent>>, TrainError> {
    weights.map(|(path, files)| Parent::of(path, &files).map(Box::new)).transpose()
}
