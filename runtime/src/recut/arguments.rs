//! Arguments of `capfilt recut`.

use super::Request;
use capfilt_schemas::cut::CutName;

/// Arguments of `capfilt recut`.
#[derive(Debug, clap::Args)]
pub struct RecutArgs {
    /// URL of a finished job
    #[arg(long)]
    pub job: String,
    /// Name of the cut to write; without a name, only the counts are shown
    #[arg(long, value_name = "NAME")]
    pub name: Option<CutName>,
    /// Copy the images and the pass-through columns into the tables, as the job does; otherwise the tables
    /// refer to the input
    #[arg(long, requires = "name")]
    pub materialise: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// The rules
    #[command(flatten)]
    pub rules: Request,
}
