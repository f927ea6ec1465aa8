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
use capfilt_store::Location;

pub async fn run(args: &PlanArgs) -> Ending {
    let mut settings = settings_file::load(args.settings.file())?;
    settings.input.url = job_setup::at_commit(&settings.input.url).await?;
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let plan = of_plan(capfilt_coordinator::plan(&input, &settings).await)?;
    let ending = if plan.refused.is_empty() { Exit::Done } else { Exit::WithQuarantine };
    let mut shown = plan.to_json();
    if !args.json {
        outln!("input   {}", settings.input.url);
        plan.lines().iter().for_each(|line| outln!("{line}"));
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
            Err(failure) => console::line(format!("no forecast: {}", console::with_causes(&failure.error))),
        }
    }
    if args.json {
        outln!("{shown}");
    }
    Ok(ending)
}
