//! `capfilt eval calibration`: whether P(match) is the share of true pairs, and the temperature with which it
//! is.

use super::{collection, shown};
use crate::args::EvalCalibrationArgs;
use anyhow::{Context as _, anyhow};
use capfilt_blip::{CALIBRATION_VERSION, Calibration};
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use capfilt_evaluate::{calibrate, label, reliability_diagram};
use capfilt_runtime::blip;
use serde_json::json;

pub async fn run(args: &EvalCalibrationArgs) -> Ending {
    let (model, data) = (&args.checkpoint.model, &args.data);
    if args.store && !model.is_dir() {
        let named = "--store writes beside the weights, so --model must be a folder of this machine";
        return Err(anyhow!(named)).or_usage_error();
    }
    let filter = blip::filter(model, args.checkpoint.options()).or_environment_error()?;
    let found = collection(data, None, None).await?;
    let labelled = shown(found.images.len(), |done| {
        label(&filter, &found.images, args.negatives, data.batch as usize, done)
    })?;
    let found = calibrate(&labelled);
    if let Some(path) = &args.output {
        let written = std::fs::write(path, reliability_diagram(&found));
        written.with_context(|| format!("cannot write {}", path.display())).or_environment_error()?;
    }
    if args.store {
        let calibration = Calibration {
            version: CALIBRATION_VERSION,
            temperature: found.temperature,
            pairs: found.fitted_on,
            negatives: args.negatives.name().to_owned(),
            data: data.input.clone(),
        };
        let written = calibration.write(model);
        written.with_context(|| format!("cannot write into {}", model.display())).or_environment_error()?;
    }
    if data.json {
        outln!("{}", json!(found))
    } else {
        outln!("{found}")
    }
    Ok(Exit::Done)
}
