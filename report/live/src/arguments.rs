//! Arguments of the commands that this crate serves.

use crate::explain::RowName;
use capfilt_schemas::control::Action;
use clap::{Args, builder::PossibleValuesParser, builder::TypedValueParser as _};
use std::{net::SocketAddr, path::PathBuf};

/// Arguments of `capfilt explain`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("name").required(true)))]
pub struct ExplainArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Key of the row
    #[arg(long, group = "name")]
    pub key: Option<String>,
    /// Address of the row: the file below the input's URL, and the number of the row in the file, from 0
    #[arg(long, value_name = "FILE#ROW", group = "name", value_parser = RowName::address)]
    pub row: Option<RowName>,
    /// Print one JSON object per row
    #[arg(long)]
    pub json: bool,
    /// Do not show the image, which is shown in terminals with pictures (kitty, iTerm2, sixels)
    #[arg(long)]
    pub no_image: bool,
}

/// Arguments of `capfilt control`.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// pause: hand out no further shard, running shards finish; resume; drain: as pause, then the processes
    /// of the job end with exit code 130
    #[arg(value_name = "ACTION", value_parser = actions())]
    pub action: Action,
}

fn actions() -> impl clap::builder::TypedValueParser<Value = Action> {
    let names = Action::ALL.iter().map(|action| action.as_str());
    PossibleValuesParser::new(names).map(|name| Action::parse(&name).expect("it is one of these names"))
}

/// Arguments of `capfilt serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "Reading needs no token on a loopback address; pause, resume, drain and retry always \
    do. Without --token-env a token is made and printed once"
)]
pub struct ServeArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Address of the page; port 0 selects a free port and prints it. An address that is not a loopback
    /// address needs --token-env, and the token for reading too
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Environment variable with the token, of at least 16 characters
    #[arg(long, value_name = "NAME")]
    pub token_env: Option<String>,
    /// The job's filter: path or URL of its folder. With it, the page finds images by a text, in a job with
    /// `output.embeddings`
    #[arg(long, value_name = "MODEL")]
    pub search_model: Option<PathBuf>,
    /// Further host name under which browsers reach the page; IP addresses and localhost need no entry;
    /// repeatable
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
}
