//! Arguments of the commands that make, work on and look after jobs.

use super::{SettingsArgs, seconds};
use capfilt_coordinator::dispatch::cluster::Connection;
use capfilt_schemas::{names::Table, settings::Auto};
use clap::{Args as ClapArgs, ValueEnum};
use std::{net::SocketAddr, path::PathBuf};

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "`capfilt run --plan-only` writes the plan, for workers that begin before anything else"
)]
pub struct PlanArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Seconds this machine's first device works on some of the rows, to say how long the job will take; 0:
    /// none
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub calibrate: f64,
    /// Price of one device for an hour, in any currency, to say what the job will cost
    #[arg(long, value_name = "PRICE")]
    pub price_per_hour: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Where the cluster's queue is. User and password come from the URL or from NATS_USER and NATS_PASSWORD.
#[derive(Debug, ClapArgs)]
pub struct ClusterArgs {
    /// Share the work with other machines over NATS JetStream: nats://host:4222, several with commas
    #[arg(long, value_name = "URL", value_parser = cluster_url)]
    pub cluster: Option<String>,
    /// NATS credentials file (.creds)
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub creds: Option<PathBuf>,
    /// PEM file of the authority that signed the NATS server's certificate; insists on TLS
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub tls_ca: Option<PathBuf>,
}

/// A NATS server's URL, or several.
fn cluster_url(text: &str) -> Result<String, String> {
    Connection::check(text).map(|()| text.to_owned())
}

/// This machine's devices and threads: a job's frozen settings have none, since machines differ.
#[derive(Debug, ClapArgs)]
pub struct DeviceListArgs {
    /// Devices, one process each
    #[arg(long = "device", default_value = "auto")]
    pub devices: Vec<String>,
    /// Threads of the models in each of these processes; auto: the cores, shared out among the processes
    #[arg(long, value_name = "N", default_value = "auto", value_parser = auto)]
    pub model_threads: Auto,
    /// Threads that decode images in each of these processes; auto: as many
    #[arg(long, value_name = "N", default_value = "auto", value_parser = auto)]
    pub decode_threads: Auto,
}

/// A number of threads, or `auto`.
fn auto(text: &str) -> Result<Auto, String> {
    match text.parse() {
        _ if text == "auto" => Ok(Auto::Auto),
        Ok(n) if n > 0 => Ok(Auto::Fixed(n)),
        _ => Err("this is neither auto nor a number of at least 1".to_owned()),
    }
}

#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Leave what this machine's CPU says to known questions beside the captioner's checkpoint: jobs with
    /// these models hold every worker against it
    #[arg(long)]
    pub write_known_answers: bool,
}

#[derive(Debug, ClapArgs)]
pub struct RunArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Print one JSON object at the end, before the manifest's URL
    #[arg(long)]
    pub json: bool,
    /// Go on although input files changed since the job was planned. The plan stays: open shards of files
    /// that were replaced or removed are set aside as quarantined, with the change as the reason; added files
    /// are named and are no part of the job; what is committed stays. Without it, a changed input is refused
    #[arg(long)]
    pub allow_changed: bool,
    /// Plan the job, if it is not planned yet, and end: workers with --part, or of a cluster, can begin then
    #[arg(long, conflicts_with = "cluster")]
    pub plan_only: bool,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// How a cluster's queue is kept; for those who coordinate.
#[derive(Debug, ClapArgs)]
pub struct QueueArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Seconds after which a shard whose worker is not heard of is given to another
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(6..))]
    pub ack_wait: u64,
    /// Leave the cluster's queue when the job is done
    #[arg(long, requires = "cluster")]
    pub keep_queue: bool,
    /// Serve metrics for Prometheus there, at /metrics; port 0 takes a free one and says which
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

#[derive(Debug, ClapArgs)]
pub struct RetryArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Only rows of this status or shards of this failure class (image_unreadable, crashed, store,
    /// worker_crashed, ...); several may be given [default: everything that is quarantined]
    #[arg(long, value_name = "CLASS")]
    pub only: Vec<String>,
    /// Other limits for what is done again: -s limits.image_bytes="200 MiB"
    #[arg(short = 's', long = "set", value_name = "limits.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Only say what would be done again
    #[arg(long)]
    pub dry_run: bool,
    /// Of this machine; a cluster's workers have their own
    #[command(flatten)]
    pub devices: DeviceListArgs,
    /// Print one JSON object before the manifest's URL
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub queue: QueueArgs,
}

#[derive(Debug, ClapArgs)]
pub struct FilesArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Which of its tables
    #[arg(long, value_enum)]
    pub table: TableName,
    /// The version of the manifest with this number [default: the newest; before there is one, what is
    /// committed so far]
    #[arg(long, value_name = "N")]
    pub manifest: Option<u32>,
    /// Print one JSON object, with rows, bytes and SHA-256 of every object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableName {
    /// One row an image with a kept text
    Pairs,
    /// One row an input row
    Ledger,
    /// One row an input row that could not be processed
    Quarantine,
}

impl From<TableName> for Table {
    fn from(name: TableName) -> Self {
        match name {
            TableName::Pairs => Self::Pairs,
            TableName::Ledger => Self::Ledger,
            TableName::Quarantine => Self::Quarantine,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub struct GcArgs {
    /// URL of the job
    #[arg(long, required_unless_present = "cluster")]
    pub job: Option<String>,
    /// With it, also the job's queue on the NATS server, when nobody uses it; without --job the unused queues
    /// of all jobs
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Delete what is listed; without it nothing is touched
    #[arg(long)]
    pub delete: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct WorkerArgs {
    /// URL of a planned job
    #[arg(long)]
    pub job: String,
    #[command(flatten)]
    pub devices: DeviceListArgs,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
    /// Only the i-th of n parts of the plan, from 0, for schedulers that start an array of workers
    #[arg(long, value_name = "I/N", default_value = "0/1", conflicts_with = "cluster")]
    pub part: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// After SIGTERM or Ctrl-C, seconds in which a shard may be finished that will be by then; all others are
    /// given back at once. 0 finishes none. Stay below the scheduler's own patience (Slurm and Kubernetes:
    /// 30). A second signal gives everything back
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// Serve metrics for Prometheus there, at /metrics; port 0 takes a free one and says which
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    #[arg(long)]
    pub job: String,
    #[arg(long)]
    pub json: bool,
    /// Show it again every two seconds until the job is done
    #[arg(long)]
    pub watch: bool,
    /// With it, also what the workers do right now
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    #[arg(long)]
    pub job: String,
    #[arg(long)]
    pub json: bool,
    /// Also judge about N rows again with the job's models, spread over its shards, and compare
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub recompute: u64,
    /// Do not compare the input's files with those that were planned
    #[arg(long)]
    pub allow_changed: bool,
    /// Where to compute them: cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_med::DeviceChoice,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceArgs {
    #[arg(long)]
    pub job: String,
    #[arg(long)]
    pub device: String,
    /// Name in commits and failures
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub model_threads: usize,
    #[arg(long)]
    pub decode_threads: usize,
    /// Bytes of its input that it may hold
    #[arg(long)]
    pub memory: u64,
}
