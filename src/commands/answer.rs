//! `capfilt answer`: answers to questions about images.

use crate::args::AnswerArgs;
use capfilt_blip::Question;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_evaluate::Answering;
use capfilt_pipeline::image_file;
use capfilt_runtime::blip;
use serde_json::json;

pub fn run(args: &AnswerArgs) -> Ending {
    let (checkpoint, how) = (&args.model.checkpoint, &args.answering);
    let generation = how.generation(checkpoint.preset);
    let answerer = blip::answerer(&checkpoint.model, checkpoint.options(), generation);
    let answerer = answerer.or_environment_error()?;
    let answering =
        Answering::of(&answerer, how.answer_list.as_deref(), how.top_k as usize).or_usage_error()?;
    let texts: Vec<String> =
        args.questions.iter().map(|text| blip::question(checkpoint.preset, text)).collect();
    let questions: Vec<_> = texts.iter().map(|text| Question { image: 0, text }).collect();
    for path in &args.model.images {
        let (_, pixels) = image_file::read(path, answerer.images().side).or_usage_error()?;
        let answers = answering.answer(&answerer, &pixels, &questions).or_environment_error()?;
        if args.model.json {
            let answers: Vec<_> =
                args.questions.iter().zip(&answers).map(|(text, found)| found.to_json(text)).collect();
            outln!("{}", json!({"image": path, "answers": answers}));
        } else {
            answers.iter().for_each(|found| outln!("{}  {}", path.display(), found.answer));
        }
    }
    Ok(Exit::Done)
}
