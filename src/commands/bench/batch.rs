//! `capfilt bench batch`: speed of a device at several batch sizes, measured with a job's models.

use crate::args::BenchBatchArgs;
use anyhow::anyhow;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_measure::images_per_second;
use capfilt_pipeline::{capfilt::CapFilt, model::ModelError};
use capfilt_runtime::{
    batch_size::{Tried, best},
    checkpoints, devices, models, settings_file,
};
use serde_json::json;

pub async fn run(args: &BenchBatchArgs) -> Ending {
    capfilt_blip::set_threads(devices::cores());
    let mut settings = settings_file::load(args.settings.file())?;
    // The load of a device does not depend on captions that another program writes.
    settings.captioner.endpoint = None;
    let records = checkpoints::records(&settings).await?;
    let mut capfilt = models::load_recorded(&settings, records.each_ref(), args.device).await?;
    let mut sizes = args.sizes.clone();
    sizes.sort_unstable();
    let tried = try_sizes(&mut capfilt, &sizes).or_environment_error()?;
    let batch = best(&tried);
    let batch = batch
        .ok_or_else(|| {
            anyhow!("{} images exceed the memory of {}; give smaller --sizes", sizes[0], args.device)
        })
        .or_environment_error()?;
    if args.json {
        outln!("{}", json!({"device": args.device.to_string(), "batch": batch, "tried": tried}));
        return Ok(Exit::Done);
    }
    tried.iter().for_each(|one| outln!("{one}"));
    outln!("workers.batch = {batch}");
    Ok(Exit::Done)
}

/// Measures each size in turn, until one exceeds the device's memory.
fn try_sizes(capfilt: &mut CapFilt, sizes: &[u32]) -> Result<Vec<Tried>, ModelError> {
    let mut tried = Vec::new();
    for batch in sizes {
        let images_per_second = images_per_second(capfilt, *batch as usize)?;
        tried.push(Tried { batch: *batch, images_per_second });
        if images_per_second.is_none() {
            break;
        }
    }
    Ok(tried)
}
