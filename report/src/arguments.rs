//! Arguments of `capfilt report`.

use crate::{Options, TruthTable};
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
    /// Parquet file, or folder of such files, that says which texts are true: the job's column of keys, and
    /// for each source a column of its name with a boolean, or a list of booleans in the order of its texts.
    /// The page then has precision and recall of the verdicts
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Column of --truth with the truth of a source, if it has another name; repeatable
    #[arg(long = "truth-of", value_name = "SOURCE=COLUMN", requires = "truth", value_parser = named)]
    pub truth_of: Vec<(String, String)>,
    /// Print the page's numbers as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Source and column.
fn named(text: &str) -> Result<(String, String), &'static str> {
    let (source, column) = text.rsplit_once('=').ok_or("expected SOURCE=COLUMN")?;
    Ok((source.to_owned(), column.to_owned()))
}

impl ReportArgs {
    /// Seed and truths.
    pub fn options(&self) -> Options {
        let table = |path: &PathBuf| TruthTable { path: path.clone(), columns: self.truth_of.clone() };
        Options { seed: self.seed, truth: self.truth.as_ref().map(table) }
    }

    /// File of the page; `None` if only the numbers are requested.
    pub fn page(&self) -> Option<PathBuf> {
        let default = || (!self.json).then(|| PathBuf::from("report.html"));
        self.output.clone().or_else(default)
    }
}
