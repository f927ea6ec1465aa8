//! `capfilt plan`: what a job would do. Writes nothing.

use crate::{
    args::PlanArgs,
    exit::{Blame as _, Ending, Exit, Failure},
    settings_file,
};
use capfilt_bucket::Place;
use capfilt_coordinator::PlanError;
use capfilt_schemas::size::ByteSize;
use serde_json::json;

pub async fn run(args: &PlanArgs) -> Ending {
    let settings = settings_file::load(&args.settings)?;
    let input = Place::open(&settings.input.url).usage()?;
    let plan = blamed(capfilt_coordinator::plan(&input, &settings).await)?;
    if args.json {
        let shown = json!({
            "files": plan.files, "shards": plan.shards.len(), "rows": plan.rows, "bytes": plan.bytes,
            "refused": plan.refused, "warnings": plan.warnings,
        });
        println!("{shown}");
    } else {
        println!("input   {}", settings.input.url);
        println!("files   {}", plan.files);
        println!("shards  {}", plan.shards.len());
        println!("rows    {}", plan.rows);
        println!("bytes   {}", ByteSize(plan.bytes));
        plan.warnings.iter().for_each(|warning| println!("warning: {warning}"));
        plan.refused.iter().for_each(|file| println!("refused: {}: {}", file.path, file.reason));
    }
    Ok(if plan.refused.is_empty() { Exit::Done } else { Exit::WithQuarantine })
}

/// A plan, or whose fault it is that there is none: an input that no setting fits is a setting that fits no input.
pub fn blamed<T>(plan: Result<T, PlanError>) -> Result<T, Failure> {
    match plan {
        Err(error) if error.is_of_settings() => Err(error).usage(),
        plan => plan.environment(),
    }
}
