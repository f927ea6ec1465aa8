//! `capfilt check`: is everything there that a job needs?

use super::plan;
use crate::{
    args::SettingsArgs,
    exit::{Blame as _, Ending, Exit},
    machine, models, settings_file,
};
use capfilt_bucket::{Bucket, Place};
use capfilt_coordinator::job::Asked;
use capfilt_med::DeviceChoice;
use capfilt_schemas::job::{self, JobRecord, PlanRecord};

pub async fn run(args: &SettingsArgs) -> Ending {
    let settings = settings_file::load(args)?;
    println!("settings  sound");
    let bucket = Bucket::open(&settings.job.url).usage()?;
    let steps = capfilt_coordinator::check::check(&bucket).await;
    for step in &steps {
        println!("bucket    {}: {}", step.what, step.problem.as_deref().unwrap_or("works"));
    }
    if steps.iter().any(|step| step.problem.is_some()) {
        return Ok(Exit::Environment);
    }
    let input = Place::open(&settings.input.url).usage()?;
    let plan = plan::blamed(capfilt_coordinator::plan(&input, &settings).await)?;
    println!("input     {} files, {} shards, {} rows", plan.files, plan.shards.len(), plan.rows);
    plan.refused.iter().for_each(|file| println!("refused   {}: {}", file.path, file.reason));
    let workers = &settings.workers;
    let devices = machine::devices(&workers.devices, workers.model_threads, workers.decode_threads);
    let devices = devices.map_err(anyhow::Error::msg).environment()?;
    let (captioner, filter) = models::records(&settings).await?;
    let asked = Asked { settings: &settings, resolved: &settings, captioner: &captioner, filter: &filter };
    for device in &devices {
        let choice: DeviceChoice = device.device.parse().map_err(anyhow::Error::msg).usage()?;
        let capfilt = models::load(&as_job(asked), choice).await?;
        let (captioner, filter) = capfilt.image_sides();
        println!(
            "device    {}: captioner {captioner} px, filter {filter} px, batch {}",
            device.device,
            capfilt.batch()
        );
    }
    Ok(if plan.refused.is_empty() { Exit::Done } else { Exit::WithQuarantine })
}

/// The job that would be, without its plan.
fn as_job(asked: Asked) -> JobRecord {
    let plan = PlanRecord {
        path: String::new(),
        sha256: String::new(),
        shards: 0,
        rows: 0,
        refused: vec![],
        without_rows: vec![],
    };
    JobRecord {
        version: job::VERSION,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        settings: asked.settings.clone(),
        captioner: asked.captioner.clone(),
        filter: asked.filter.clone(),
        plan,
    }
}
