//! `capfilt plan`: the plan of a job and its estimated duration on this machine. Writes nothing to the
//! bucket.

use crate::args::PlanArgs;
use capfilt_console::{self as console, Ending, Exit, ExitCodeExt as _, outln};
use capfilt_runtime::{
    forecast::{Trial, forecast},
    job_setup,
    plan_exit::of_plan,
    settings_file,
};
use capfilt_schemas::size::ByteSize;
use capfilt_store::Location;
use serde_json::json;

pub async fn run(args: &PlanArgs) -> Ending {
    let mut settings = settings_file::load(args.settings.file())?;
    settings.input.url = job_setup::at_commit(&settings.input.url).await?;
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let plan = of_plan(capfilt_coordinator::plan(&input, &settings).await)?;
    let ending = if plan.refused.is_empty() { Exit::Done } else { Exit::WithQuarantine };
    let mut shown = json!({
        "files": plan.files, "shards": plan.shards.len(), "rows": plan.rows,
        "rows_exact": plan.rows_exact, "bytes": plan.bytes,
        "refused": plan.refused, "warnings": plan.warnings,
    });
    if !args.json {
        outln!("input   {}", settings.input.url);
        outln!("files   {}", plan.files);
        outln!("shards  {}", plan.shards.len());
        outln!("rows    {}{}", if plan.rows_exact { "" } else { "about " }, plan.rows);
        outln!("bytes   {}", ByteSize(plan.bytes));
        plan.warnings.iter().for_each(|warning| outln!("warning: {warning}"));
        plan.refused.iter().for_each(|file| outln!("refused: {}: {}", file.path, file.reason));
    }
    if args.calibrate > 0.0 {
        console::line(format!(
            "processing some rows for at least {} s, after loading the models",
            args.calibrate
        ));
        let trial = Trial { seconds: args.calibrate, price_per_hour: args.price_per_hour };
        match forecast(args.settings.file(), &settings, plan, trial).await {
            Ok(forecast) if args.json => shown["forecast"] = forecast.to_json(),
            Ok(forecast) => forecast.lines().iter().for_each(|line| outln!("{line}")),
            // The plan is valid: `capfilt plan` also runs on machines without models and devices.
            Err(failure) => console::line(format!("no forecast: {:#}", failure.error)),
        }
    }
    if args.json {
        outln!("{shown}");
    }
    Ok(ending)
}
