//! Arguments of the commands that plan, run, inspect and maintain jobs.

use super::{SettingsArgs, seconds};
use capfilt_coordinator::dispatch::cluster::Connection;
use capfilt_runtime::open_job::QueueChoice;
use capfilt_schemas::{
    cut::CutName,
    object_keys::Table,
    settings::{Auto, Template},
};
use clap::{Args as ClapArgs, value_parser};
use std::{net::SocketAddr, path::PathBuf, time::Duration};

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "`capfilt run --plan-only` writes the plan, for workers that start before `capfilt run`"
)]
pub struct PlanArgs {
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Seconds of a trial run on this machine's first device, which estimates the duration of the job; 0: no
    /// trial run
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub calibrate: f64,
    /// Price of one device per hour, in any currency, to estimate the cost of the job
    #[arg(long, value_name = "PRICE")]
    pub price_per_hour: Option<f64>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Address of the cluster's queue. User and password come from the URL or from NATS_USER and NATS_PASSWORD.
#[derive(Debug, ClapArgs)]
pub struct ClusterArgs {
    /// NATS servers with JetStream, through which machines share the job: nats://host:4222, comma-separated
    #[arg(long, value_name = "URL", value_parser = cluster_url)]
    pub cluster: Option<String>,
    /// NATS credentials file (.creds)
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub creds: Option<PathBuf>,
    /// PEM file of the authority that signed the NATS server's certificate; makes TLS mandatory
    #[arg(long, value_name = "FILE", requires = "cluster")]
    pub tls_ca: Option<PathBuf>,
}

impl ClusterArgs {
    /// Connection to the NATS servers; `None` without `--cluster`.
    pub fn link(&self) -> Option<Connection> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let url = self.cluster.clone()?;
        let user = variable("NATS_USER").zip(variable("NATS_PASSWORD"));
        Some(Connection { url, credentials: self.creds.clone(), user, tls_ca: self.tls_ca.clone() })
    }
}

/// Checks the URL of a NATS server, or a comma-separated list.
fn cluster_url(text: &str) -> Result<String, String> {
    Connection::check(text).map(|()| text.to_owned())
}

/// Devices and threads of this machine. The frozen settings of a job omit both, because machines differ.
#[derive(Debug, ClapArgs)]
pub struct DeviceListArgs {
    /// Device of one worker process: cpu, cuda:N, or auto for all devices; repeatable
    #[arg(long = "device", default_value = "auto")]
    pub devices: Vec<String>,
    /// Threads of the models in each worker process; auto: the cores divided by the number of processes
    #[arg(long, value_name = "N", default_value = "auto", value_parser = auto)]
    pub model_threads: Auto,
    /// Threads that decode images in each worker process; auto: the same number
    #[arg(long, value_name = "N", default_value = "auto", value_parser = auto)]
    pub decode_threads: Auto,
}

/// Parses a number of threads, or `auto`.
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
    /// Write a self-test beside the captioner's checkpoint: fixed inputs with the results of this machine's
    /// CPU. A job with these models compares each worker process with the file
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
    /// Resume although input files changed since the job was planned. The plan and all commits stay. Open
    /// shards of replaced or removed files are quarantined, with the change as the reason. Added files are
    /// listed and ignored. Without this option a changed input is an error
    #[arg(long)]
    pub allow_changed: bool,
    /// Plan the job if it has no plan, and exit; afterwards workers with --part or --cluster can start
    #[arg(long, conflicts_with = "cluster")]
    pub plan_only: bool,
    #[command(flatten)]
    pub queue: QueueArgs,
}

/// Queue and metrics of a coordinator.
#[derive(Debug, ClapArgs)]
pub struct QueueArgs {
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Seconds without a heartbeat after which a worker's shard goes to another worker
    #[arg(long, default_value_t = 30, value_parser = value_parser!(u64).range(6..))]
    pub ack_wait: u64,
    /// Keep the cluster's queue after the job is done
    #[arg(long, requires = "cluster")]
    pub keep_queue: bool,
    /// Serve Prometheus metrics at this address, path /metrics; port 0 selects a free port and prints it
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

impl QueueArgs {
    /// The queue that hands out the shards.
    pub fn choice(&self) -> QueueChoice {
        let ack_wait = Duration::from_secs(self.ack_wait);
        QueueChoice { link: self.cluster.link(), ack_wait, keep_queue: self.keep_queue }
    }
}

#[derive(Debug, ClapArgs)]
pub struct RetryArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Retry only rows with this status or shards with this failure class (image_unreadable, crashed, store,
    /// worker_crashed, ...); repeatable [default: all that is quarantined]
    #[arg(long, value_name = "CLASS")]
    pub only: Vec<String>,
    /// Override a limit for the retried rows: -s limits.image_bytes="200 MiB"
    #[arg(short = 's', long = "set", value_name = "limits.KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Only report the rows and shards that would be retried
    #[arg(long)]
    pub dry_run: bool,
    /// Devices of this machine; a cluster's workers have their own options.
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
    /// Table of the job
    #[arg(long, value_enum)]
    pub table: Table,
    /// Number of the manifest [default: the newest; without a manifest, all commits so far]
    #[arg(long, value_name = "N")]
    pub manifest: Option<u32>,
    /// Name of a cut, whose pairs are listed
    #[arg(long, value_name = "NAME", conflicts_with = "manifest")]
    pub cut: Option<CutName>,
    /// Print one JSON object with rows, bytes and SHA-256 of each object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, ClapArgs)]
pub struct GcArgs {
    /// URL of the job
    #[arg(long, required_unless_present = "cluster")]
    pub job: Option<String>,
    /// Also lists the job's unused queue on the NATS server; without --job, the unused queues of all jobs.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Delete the listed objects; without this option the command only lists them
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
    /// Work only on part I of N of the plan, counted from 0; for schedulers that start arrays of workers
    #[arg(long, value_name = "I/N", default_value = "0/1", conflicts_with = "cluster")]
    pub part: String,
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Seconds after SIGTERM or Ctrl-C in which the worker finishes shards that are nearly done; it returns
    /// all other shards at once. With 0, it returns all shards. Choose less than the scheduler's kill delay
    /// (Slurm and Kubernetes: 30 s). A second signal returns all shards
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// Serve Prometheus metrics at this address, path /metrics; port 0 selects a free port and prints it
    #[arg(long, value_name = "IP:PORT")]
    pub metrics: Option<SocketAddr>,
}

#[derive(Debug, ClapArgs)]
pub struct StatusArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Refresh until the job is done: in the window of a terminal, else a line per change
    #[arg(long)]
    pub watch: bool,
    /// Also shows the current shards of the workers.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

#[derive(Debug, ClapArgs)]
pub struct VerifyArgs {
    /// URL of the job
    #[arg(long)]
    pub job: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Also compute about N rows, spread over the shards, again with the job's models and compare the results
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub recompute: u64,
    /// Do not compare the input files with the plan
    #[arg(long)]
    pub allow_changed: bool,
    /// Device of --recompute: cpu, cuda, cuda:N or auto
    #[arg(long, default_value = "auto")]
    pub device: capfilt_blip::DeviceChoice,
}

#[derive(Debug, ClapArgs)]
pub struct DeviceArgs {
    #[arg(long)]
    pub job: String,
    #[arg(long)]
    pub device: String,
    /// Name of the worker in commits and failure records
    #[arg(long)]
    pub name: String,
    #[arg(long)]
    pub model_threads: usize,
    #[arg(long)]
    pub decode_threads: usize,
    /// Bytes of input that the process may hold in memory
    #[arg(long)]
    pub memory: u64,
}

#[derive(Debug, ClapArgs)]
pub struct InitArgs {
    /// Input: a file, a folder or prefix, a pattern, or hf://datasets/owner/name
    #[arg(required = true)]
    pub input: Option<String>,
    /// Settings file to write; an existing file is kept
    #[arg(short, long, default_value = "job.toml")]
    pub config: PathBuf,
    /// Location of everything that the job writes: a folder or a URL
    #[arg(long, value_name = "URL", default_value = "out/job")]
    pub job: String,
    /// Filter: a folder, a URL or hf://owner/name
    #[arg(long, value_name = "MODEL")]
    pub filter: Option<String>,
    /// Captioner: a folder, a URL or hf://owner/name
    #[arg(long, value_name = "MODEL")]
    pub captioner: Option<String>,
    /// Judge the texts of the input, and write no captions
    #[arg(long, conflicts_with = "captioner")]
    pub filter_only: bool,
    /// Print a settings file with every key, its meaning and its default, and write nothing
    #[arg(long, value_name = "KIND", exclusive = true)]
    pub print_all: Option<Template>,
}
