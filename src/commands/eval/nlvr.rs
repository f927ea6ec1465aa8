//! `capfilt eval nlvr`: accuracy of a reasoner about pairs of images.

use super::shown;
use crate::args::EvalNlvrArgs;
use anyhow::{Context as _, anyhow};
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, outln};
use capfilt_evaluate::{judge_all, read_statements, score_statements, write_judgements};
use capfilt_runtime::{blip, training_data};
use serde_json::json;

pub async fn run(args: &EvalNlvrArgs) -> Ending {
    let (data, model, group) = (&args.data, &args.checkpoint, args.data.by.as_deref());
    let reasoner = blip::reasoner(&model.model, model.options()).or_environment_error()?;
    let (place, shards, columns) = training_data::opened(&data.source(), false).await?;
    let most = data.statements as usize;
    let found = read_statements(&place, &shards, &columns, &data.pair(), group, most).await;
    let found = found.or_usage_error()?;
    if found.stated.is_empty() {
        let reason = "are --image, --second-image, --statement and --label its columns?";
        return Err(anyhow!("{}: no row with all four; {reason}", data.input)).or_usage_error();
    }
    console::line(format!("{} statements; {} rows skipped", found.stated.len(), found.skipped));
    let (stated, batch) = (&found.stated, data.batch as usize);
    let clean = |text: &str| blip::statement(model.preset, text);
    let truth = shown(stated.len(), |done| judge_all(&reasoner, stated, batch, clean, done))?;
    if let Some(path) = &data.predictions {
        let written = write_judgements(path, &truth, stated);
        written.with_context(|| format!("cannot write {}", path.display())).or_environment_error()?;
    }
    let scores = score_statements(&truth, stated);
    if data.json {
        let mut all = json!(scores);
        all["skipped"] = json!(found.skipped);
        outln!("{all}");
        return Ok(Exit::Done);
    }
    outln!("{scores}");
    Ok(Exit::Done)
}
