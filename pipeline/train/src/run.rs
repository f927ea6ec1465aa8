//! A training run, from its settings to its model, with metrics and resumable checkpoints.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use capfilt_blip::{DeviceChoice, precision};
use capfilt_schemas::settings::{
    Precision,
    train::{Loss, Run as RunSettings, Task, Training},
};
use sha2::{Digest as _, Sha256};
use tch::{Device, Kind};

use crate::{
    adamw::AdamW,
    checkpoint::{Checkpoints, State, restore},
    contrast::FeatureQueue,
    data::{Cursor, Dataset, Loader},
    error::TrainError,
    learner::{Learner, Memory, StepShape},
    lineage::{self, Lineage, Parent},
    lock,
    metrics::{Line, Metrics, Sums},
    model_files::{self, Description},
    momentum::MomentumTowers,
    parameters::{Layout, Parameters},
    schedule::{Place, ahead, alpha, learning_rate},
    start::Start,
    towers::Parts,
};

/// Number of metrics lines with a constant matching loss after which a run reports it.
const STUCK_LINES: usize = 20;

/// Progress event of a run.
pub enum Event<'a> {
    /// Before the first step: number of steps, finished steps, trained parameters, and tensors that the
    /// initial checkpoint does not have.
    Started {
        steps: u64,
        done: u64,
        parameters: i64,
        device: Device,
        drawn: &'a [String],
    },
    Line(&'a Line),
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
    metrics: Metrics,
    /// Finished optimiser steps, and number of all.
    step: u64,
    steps: u64,
    /// Optimiser steps of one epoch.
    steps_per_epoch: u64,
    cursor: Cursor,
    /// Last step that is saved in a checkpoint.
    saved: u64,
    sums: Sums,
    since: Instant,
    waiting: f64,
    images: u64,
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
        let mut learner = learner(settings, &mut start)?;
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
            metrics: Metrics::open(&folder, step)?,
            checkpoints,
            folder,
            learner,
            step,
            steps,
            steps_per_epoch,
            cursor,
            saved: step,
            sums: Sums::default(),
            since: Instant::now(),
            waiting: 0.0,
            images: 0,
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
            self.waiting += asked.elapsed().as_secs_f64();
            let shape = StepShape {
                seed: seed_of(run.seed, self.step, part),
                alpha,
                weight: 1.0 / f64::from(run.accumulate),
                first_of_step: part == 0,
                ahead: ahead(u64::from(objective.causal_steps), self.step),
            };
            let losses = self.learner.learn(&batch, shape)?;
            self.sums.add_losses(&losses);
            self.images += batch.texts.len() as u64;
            self.cursor = batch.cursor;
        }
        let rate = learning_rate(&self.settings.optimizer, place);
        let norm = self.learner.parameters.step(&mut self.optimizer, &self.settings.optimizer, rate)?;
        self.sums.add_gradient(&norm);
        self.step += 1;
        if self.step.is_multiple_of(u64::from(run.log_every)) || self.step == self.steps {
            self.log(place, rate, alpha, report)?;
        }
        Ok(())
    }

    fn log(
        &mut self,
        place: Place,
        learning_rate: f64,
        alpha: f64,
        report: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), TrainError> {
        let means = self.checked_means()?;
        let seconds = self.since.elapsed().as_secs_f64().max(1e-9);
        let line = Line {
            step: self.step,
            epoch: self.step as f64 / place.steps_per_epoch as f64,
            itc: means.itc,
            itm: means.itm,
            lm: means.lm,
            learning_rate,
            alpha,
            temperature: self.learner.parameters.temperature()?.double_value(&[]),
            gradient_norm: means.gradient_norm,
            images_per_second: self.images as f64 / seconds,
            waiting: self.waiting / seconds,
            skipped_rows: self.loader.skipped(),
        };
        report(Event::Line(&line));
        self.metrics.push(line)?;
        if self.metrics.matching_is_stuck(STUCK_LINES) {
            report(Event::MatchingStuck);
        }
        (self.since, self.waiting, self.images) = (Instant::now(), 0.0, 0);
        Ok(())
    }

    fn checked_means(&mut self) -> Result<crate::metrics::Means, TrainError> {
        let means = self.sums.take();
        if means.is_finite() {
            return Ok(means);
        }
        let shown = |loss: Option<f64>| loss.unwrap_or(0.0);
        let (itc, itm, lm) = (shown(means.itc), shown(means.itm), shown(means.lm));
        Err(TrainError::NotANumber { step: self.step, itc, itm, lm, saved: self.saved })
    }

    /// Writes a checkpoint; weights that are not finite never replace a valid checkpoint.
    fn save(&mut self, report: &mut dyn FnMut(Event<'_>)) -> Result<PathBuf, TrainError> {
        let sum = self.learner.parameters.vector().f_detach()?.f_sum(None::<Kind>)?.double_value(&[]);
        if !sum.is_finite() {
            self.checked_means()?;
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
        self.metrics.draw()?;
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

/// Builds the learner of the settings with the initial weights.
pub fn learner(settings: &Training, start: &mut Start) -> Result<Learner, TrainError> {
    let device: DeviceChoice = settings.run.device.parse().map_err(TrainError::Settings)?;
    let device = device.resolve().map_err(TrainError::Settings)?;
    let has = |loss| settings.objective.losses.contains(&loss);
    let parts = Parts {
        config: start.config.clone(),
        encoder: has(Loss::Itc),
        contrast: has(Loss::Itc),
        matching: has(Loss::Itm),
        decoder: has(Loss::Lm),
        dropout: settings.model.dropout,
        drop_path: settings.model.drop_path,
    };
    let most = settings.objective.max_tokens.into();
    if start.config.text.max_position_embeddings < most {
        return Err(TrainError::Settings(format!(
            "objective.max_tokens = {most}: the model has {} positions",
            start.config.text.max_position_embeddings
        )));
    }
    let layout = Layout::new(&parts, settings.model.sharing);
    let vector = start.weights(&layout, settings.run.seed)?;
    let parameters = Parameters::new(layout, &vector, device)?;
    let memory = if parts.contrast {
        let towers = MomentumTowers::new(&parameters)?;
        let (projection, length) = (start.config.projection, i64::from(settings.objective.queue));
        Some(Memory { towers, queue: FeatureQueue::new(projection, length, Kind::Float, device)? })
    } else {
        None
    };
    let precision = precision::resolve(settings.run.precision, device).map_err(TrainError::Settings)?;
    Ok(Learner {
        objective: settings.objective.clone(),
        sharing: settings.model.sharing,
        parameters,
        memory,
        tokens: capfilt_blip::tokens::BertTokens::open(&start.tokenizer, &start.config.text)?,
        normalisation: start.normalisation.clone(),
        device,
        kind: precision.kind(),
        checkpoint_blocks: settings.model.checkpoint_blocks,
        parts,
    })
}

fn parent(weights: Option<(&Path, Vec<PathBuf>)>) -> Result<Option<Box<Parent>>, TrainError> {
    weights.map(|(path, files)| Parent::of(path, &files).map(Box::new)).transpose()
}

/// Seed of a batch: a function of its position in the run, so that a resumed run gets the same random
/// numbers.
fn seed_of(seed: u64, step: u64, part: u32) -> i64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update(step.to_le_bytes());
    hash.update(part.to_le_bytes());
    let bytes: [u8; 32] = hash.finalize().into();
    i64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

/// Digest of the values that decide a run's weights. Output folder, intervals and device may change when a
/// run resumes.
fn digest(task: Task, settings: &Training, dataset: &Dataset) -> String {
    let mut settings = settings.without_bookkeeping();
    (settings.run.max_steps, settings.run.save_precision) = (0, Precision::F32);
    let text = serde_json::to_string(&settings).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [task.name(), text.as_str(), dataset.version()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}
