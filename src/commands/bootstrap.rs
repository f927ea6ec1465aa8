//! `capfilt bootstrap`: pre-train, fine-tune, clean, repeat.

use crate::args::BootstrapArgs;
use anyhow::Context as _;
use capfilt_bootstrap::Ended;
use capfilt_console::{self as console, Ending, ExitCodeExt as _, outln, shutdown};
use capfilt_schemas::settings::bootstrap::Bootstrap;
use serde_json::json;
use std::path::Path;

pub async fn run(args: &BootstrapArgs) -> Ending {
    let stop = shutdown::on_signal();
    let text = std::fs::read_to_string(&args.config);
    let text = text
        .with_context(|| format!("cannot read the settings {}", args.config.display()))
        .or_usage_error()?;
    let settings = Bootstrap::parse(&text, &args.overrides);
    let settings =
        settings.with_context(|| format!("settings {}", args.config.display())).or_usage_error()?;
    let beside = args.config.parent().unwrap_or(Path::new(""));
    match capfilt_bootstrap::run(&settings, beside, stop).await? {
        Ended::Done { model, exit } => {
            if args.json {
                outln!("{}", json!({ "model": model.place, "sha256": model.digest }));
            } else {
                outln!("{}", model.place);
            }
            Ok(exit)
        }
        Ended::Step { name, exit } => {
            console::line(format!("{name} is not done; the same command resumes from there"));
            Ok(exit)
        }
    }
}
