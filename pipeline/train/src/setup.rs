//! The learner of a run, built from the settings and the initial weights.

use capfilt_blip::{DeviceChoice, precision, tokens::BertTokens};
use capfilt_schemas::settings::train::{Loss, Task, Training};
use tch::{Device, Kind};

use crate::{
    contrast::FeatureQueue,
    error::TrainError,
    learner::{Learner, Memory},
    momentum::MomentumTowers,
    parameters::{Layout, Parameters},
    start::Start,
    towers::{Attends, Parts},
};

/// Builds the learner of the settings with the initial weights.
pub(crate) fn learner(task: Task, settings: &Training, start: &mut Start) -> Result<Learner, TrainError> {
    let device: DeviceChoice = settings.run.device.parse().map_err(TrainError::Settings)?;
    let device = device.resolve().map_err(TrainError::Settings)?;
    let parts = parts(task, settings, start)?;
    let layout = Layout::new(&parts, settings.model.sharing);
    let vector = start.weights(&layout, settings.run.seed)?;
    let parameters = Parameters::new(layout, &vector, device)?;
    let memory = parts.contrast.then(|| memory(settings, &parts, &parameters, device)).transpose()?;
    let precision = precision::resolve(settings.run.precision, device).map_err(TrainError::Settings)?;
    Ok(Learner {
        objective: settings.objective.clone(),
        sharing: settings.model.sharing,
        parameters,
        memory,
        tokens: BertTokens::open(&start.tokenizer, &start.config.text)?,
        normalisation: start.normalisation.clone(),
        device,
        kind: precision.kind(),
        checkpoint_blocks: settings.model.checkpoint_blocks,
        parts,
    })
}

/// The parts of MED that the losses train.
fn parts(task: Task, settings: &Training, start: &Start) -> Result<Parts, TrainError> {
    let has = |loss| settings.objective.losses.contains(&loss);
    let (most, positions) = (settings.objective.max_tokens.into(), start.config.text.max_position_embeddings);
    if positions < most {
        return Err(TrainError::Settings(format!(
            "objective.max_tokens = {most}: the model has {positions} positions"
        )));
    }
    let (asks, reasons) = (task == Task::Vqa, task == Task::Nlvr);
    let attends = if asks { Attends::ToQuestion } else { Attends::ToImage };
    Ok(Parts {
        config: start.config.clone(),
        encoder: has(Loss::Itc) || asks,
        contrast: has(Loss::Itc),
        matching: has(Loss::Itm) && !reasons,
        reasoner: reasons,
        decoder: has(Loss::Lm).then_some(attends),
        dropout: settings.model.dropout,
        drop_path: settings.model.drop_path,
    })
}

/// Momentum towers and an empty queue.
fn memory(
    settings: &Training,
    parts: &Parts,
    parameters: &Parameters,
    device: Device,
) -> Result<Memory, TrainError> {
    let towers = MomentumTowers::new(parameters)?;
    let (projection, length) = (parts.config.projection, i64::from(settings.objective.queue));
    Ok(Memory { towers, queue: FeatureQueue::new(projection, length, Kind::Float, device)? })
}
