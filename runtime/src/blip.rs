//! BLIP in the registry: conversion of settings to its options, and its loaders.
//!
//! The functions are public for the commands that show BLIP's internals: `caption --candidates`,
//! `eval retrieval`; and for questions and for statements about pairs of images, which only BLIP reads.

use crate::family::{Family, ModelOptions};
use capfilt_blip::{
    BlipAnswerer, BlipCaptioner, BlipFilter, BlipReasoner, GenerationOptions, LoadError, LoadOptions,
    Options, Statement,
};
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_pipeline::{
    image_file,
    model::PixelBatch,
    text::{QUESTION_WORDS, STATEMENT_WORDS, pre_caption, pre_question},
};
use capfilt_schemas::settings::{Captioner, Method, Preset};
use std::path::Path;

/// Entry of the registry.
pub(crate) const FAMILY: Family = Family {
    model_types: &["blip"],
    decoding,
    captioner: |path, options, decoding| Ok(Box::new(captioner(path, options, decoding)?)),
    filter: |path, options| Ok(Box::new(filter(path, options)?)),
};

/// Loads a captioner.
///
/// # Errors
/// Names the file or option that is wrong, and why.
pub fn captioner(
    path: &Path,
    options: ModelOptions,
    decoding: &Captioner,
) -> Result<BlipCaptioner, LoadError> {
    let options = load_options(options);
    let generation = generation(decoding, &options.options);
    BlipCaptioner::load(path, &options, generation)
}

/// Loads a filter.
///
/// # Errors
/// Names the file or option that is wrong, and why.
pub fn filter(path: &Path, options: ModelOptions) -> Result<BlipFilter, LoadError> {
    BlipFilter::load(path, &load_options(options))
}

/// Loads an answerer of questions.
///
/// # Errors
/// Names the file or option that is wrong, and why.
pub fn answerer(
    path: &Path,
    options: ModelOptions,
    generation: GenerationOptions,
) -> Result<BlipAnswerer, LoadError> {
    BlipAnswerer::load(path, &load_options(options), generation)
}

/// A question as the model reads it: cleaned as in BLIP's VQA; transformers does not clean texts.
pub fn question(preset: Preset, text: &str) -> String {
    match preset {
        Preset::Original => pre_question(text, QUESTION_WORDS),
        Preset::Hf => text.to_owned(),
    }
}

/// Loads a reasoner about pairs of images.
///
/// # Errors
/// Names the file or option that is wrong, and why.
pub fn reasoner(path: &Path, options: ModelOptions) -> Result<BlipReasoner, LoadError> {
    BlipReasoner::load(path, &load_options(options))
}

/// A statement as the model reads it: cleaned as in BLIP's NLVR2, unless the preset leaves texts unchanged.
pub fn statement(preset: Preset, text: &str) -> String {
    match preset {
        Preset::Original => pre_caption(text, STATEMENT_WORDS),
        Preset::Hf => text.to_owned(),
    }
}

/// Probabilities that texts are true of the left and the right image file.
///
/// # Errors
/// The checkpoint or an image cannot be read, or the device fails.
pub fn pair_truth(
    model: &Path,
    options: ModelOptions,
    images: [&Path; 2],
    texts: &[String],
) -> Result<Vec<f32>, Failure> {
    let preset = options.preset;
    let reasoner = reasoner(model, options).or_environment_error()?;
    let side = reasoner.images().side;
    let mut pixels = PixelBatch::with_capacity(side, images.len());
    for path in images {
        pixels.push(image_file::read(path, side).or_usage_error()?.1.pixels_u8());
    }
    let texts: Vec<String> = texts.iter().map(|text| statement(preset, text)).collect();
    let statements: Vec<_> = texts.iter().map(|text| Statement { images: [0, 1], text }).collect();
    reasoner.probabilities(&pixels, &statements).or_environment_error()
}

fn load_options(asked: ModelOptions) -> LoadOptions {
    let ModelOptions { device, precision, preset } = asked;
    LoadOptions { device, precision, ..LoadOptions::preset(preset) }
}

fn generation(decoding: &Captioner, options: &Options) -> GenerationOptions {
    GenerationOptions {
        method: decoding.method,
        beams: decoding.beams as usize,
        top_p: decoding.top_p,
        top_k: decoding.top_k as usize,
        repetition_penalty: decoding.repetition_penalty,
        min_length: decoding.min_length as usize,
        max_length: decoding.max_length as usize,
        prompt: decoding.prompt.clone(),
        beam_length: options.beam_length,
    }
}

fn decoding(preset: Preset, method: Method) -> Captioner {
    let generation = Options::of(preset).generation(method);
    let number = |number: usize| u32::try_from(number).expect("the numbers of a preset are small");
    Captioner {
        method,
        beams: number(generation.beams),
        top_p: generation.top_p,
        top_k: number(generation.top_k),
        repetition_penalty: generation.repetition_penalty,
        min_length: number(generation.min_length),
        max_length: number(generation.max_length),
        prompt: generation.prompt,
        captions: 1,
        ..Captioner::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_decoding_of_a_preset_and_method_is_that_of_blip() {
        for preset in [Preset::Original, Preset::Hf] {
            for method in Method::ALL {
                let options = Options::of(preset);
                assert_eq!(generation(&decoding(preset, method), &options), options.generation(method));
            }
        }
    }

    #[test]
    fn the_default_settings_of_a_job_are_those_of_the_original_with_nucleus_sampling() {
        assert_eq!(decoding(Preset::Original, Method::Nucleus), Captioner::default());
    }
}
