//! `capfilt eval vqa`: VQA accuracy of an answerer.

use super::shown;
use crate::{args::EvalVqaArgs, commands::answer::load};
use anyhow::{Context as _, anyhow};
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, outln};
use capfilt_evaluate::{answer_all, read_questions, score_answers, write_answers};
use capfilt_pipeline::frames::Frames;
use capfilt_runtime::{blip, training_data};
use capfilt_schemas::settings::training_data::DataSource;
use serde_json::json;

pub async fn run(args: &EvalVqaArgs, clips: Option<Frames>) -> Ending {
    let (data, preset) = (&args.data, args.checkpoint.preset);
    let (answerer, answering) = load(&args.checkpoint, &args.answering)?;
    let source =
        DataSource::of_files(&data.input, &data.key, &data.image, &data.question, data.filter.as_deref());
    let (place, shards, columns) = training_data::opened(&source, clips.is_some()).await?;
    let most = data.questions as usize;
    let found = read_questions(&place, &shards, &columns, &data.answers, most, clips).await;
    let found = found.or_environment_error()?;
    if found.asked.is_empty() {
        let reason = "are --image, --question and --answers its columns?";
        return Err(anyhow!("{}: no row with all three; {reason}", data.input)).or_usage_error();
    }
    console::line(format!("{} questions; {} rows skipped", found.asked.len(), found.skipped));
    let (asked, batch) = (found.asked, data.batch as usize);
    let clean = |text: &str| blip::question(preset, text);
    let answers =
        shown(asked.len(), |done| answer_all(&answerer, &answering, &asked, batch, clips, clean, done))?;
    if let Some(path) = &data.predictions {
        let written = write_answers(path, &answers, &asked);
        written.with_context(|| format!("cannot write {}", path.display())).or_environment_error()?;
    }
    let scores = score_answers(&answers, &asked);
    if data.json {
        let mut all = json!(scores);
        all["skipped"] = json!(found.skipped);
        outln!("{all}");
        return Ok(Exit::Done);
    }
    outln!("{scores}");
    Ok(Exit::Done)
}
