//! Model options of the command line: conversion to load and generation options, and download by URL.

use crate::{
    args::{BenchCommand, CheckpointArgs, Command, EvalWhat, GenerationArgs},
    models,
};
use capfilt_blip::{GenerationOptions, LoadOptions};
use capfilt_console::Failure;
use capfilt_schemas::settings::Method;

impl CheckpointArgs {
    pub fn options(&self) -> LoadOptions {
        LoadOptions { device: self.device, precision: self.precision, ..LoadOptions::preset(self.preset) }
    }
}

impl GenerationArgs {
    /// Options of the command line, completed by those of the preset; `method` is the default method.
    pub fn options(&self, method: Method, options: &LoadOptions) -> GenerationOptions {
        let preset = options.options.generation(self.method.unwrap_or(method));
        GenerationOptions {
            beams: self.beams,
            top_p: self.top_p,
            top_k: self.top_k,
            repetition_penalty: self.repetition_penalty.unwrap_or(preset.repetition_penalty),
            min_length: self.min_length.unwrap_or(preset.min_length),
            max_length: self.max_length.unwrap_or(preset.max_length),
            prompt: self.prompt.clone().unwrap_or_else(|| preset.prompt.clone()),
            ..preset
        }
    }
}

/// Replaces each checkpoint URL in a command with the path of a local copy.
///
/// # Errors
/// When a checkpoint cannot be fetched.
pub async fn fetch(command: &mut Command) -> Result<(), Failure> {
    let named = match command {
        Command::Score(args) => vec![&mut args.model.checkpoint.model],
        Command::Caption(args) => vec![&mut args.model.checkpoint.model],
        Command::Eval(args) => match &mut args.what {
            EvalWhat::Retrieval(args) => vec![&mut args.checkpoint.model],
            EvalWhat::Caption(args) => vec![&mut args.checkpoint.model],
        },
        Command::Bench(BenchCommand::Model(args)) => vec![&mut args.captioner, &mut args.filter],
        Command::Lineage(args) => vec![&mut args.file],
        _ => vec![],
    };
    for path in named {
        *path = models::local(path).await?;
    }
    Ok(())
}
