//! Arguments of `capfilt report`.

use clap::Args;
use std::path::PathBuf;

/// Arguments of `capfilt report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// File of the page [default: report.html; with --json, no page]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Seed of the sampled rows; the same seed shows the same rows
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Print the page's numbers as one JSON object
    #[arg(long)]
    pub json: bool,
}

impl ReportArgs {
    /// File of the page; `None` if only the numbers are requested.
    pub fn page(&self) -> Option<PathBuf> {
        let default = || (!self.json).then(|| PathBuf::from("report.html"));
        self.output.clone().or_else(default)
    }
}
