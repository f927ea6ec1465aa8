//! `capfilt answer`: answers to questions about images.

use crate::args::AnswerArgs;
use capfilt_blip::{BlipAnswerer, Question};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_evaluate::{Answering, AnsweringArgs};
use capfilt_pipeline::image_file;
use capfilt_runtime::{blip, model_arguments::CheckpointArgs};
use serde_json::json;

pub fn run(args: &AnswerArgs) -> Ending {
    let model = &args.model;
    let (answerer, answering) = load(&model.checkpoint, &args.answering)?;
    let clean = |text: &String| blip::question(model.checkpoint.preset, text);
    let texts: Vec<String> = args.questions.iter().map(clean).collect();
    let questions: Vec<_> = texts.iter().map(|text| Question { image: 0, text }).collect();
    for path in &model.images {
        let (_, pixels) = image_file::read(path, answerer.images().side).or_usage_error()?;
        let answers = answering.answer(&answerer, &pixels, &questions).or_environment_error()?;
        let answers = args.questions.iter().zip(&answers);
        if model.json {
            let answers: Vec<_> = answers.map(|(text, found)| found.to_json(text)).collect();
            outln!("{}", json!({"image": path, "answers": answers}));
        } else {
            answers.for_each(|(_, found)| outln!("{}  {}", path.display(), found.answer));
        }
    }
    Ok(Exit::Done)
}

/// Loads the model, and the list of answers if there is one.
pub fn load(model: &CheckpointArgs, how: &AnsweringArgs) -> Result<(BlipAnswerer, Answering), Failure> {
    let answerer = blip::answerer(&model.model, model.options(), how.generation(model.preset));
    let answerer = answerer.or_environment_error()?;
    let answering = how.answering(&answerer).or_usage_error()?;
    Ok((answerer, answering))
}
