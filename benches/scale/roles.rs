//! The processes of a job: the product's own coordinator and worker, whose device children are the stand-in.

use crate::{standin, store::S3};
use capfilt_coordinator::{
    JobState, OnInputChange,
    dispatch::{
        Change, Observation, Orders, Outcome, Work,
        cluster::{self, Connection, CoordinatedJob, JobQueue, QueueSource},
        local::{self, RetryPolicy},
        worker_pool::{self, WorkerPool},
    },
    job::{self, JobRequest, Opened},
    manifest,
};
use capfilt_schemas::{
    job::{ModelFile, ModelRecord},
    object_keys,
    queue_protocol::{End, News, QueueNames},
    settings::{Settings, parse},
};
use capfilt_store::Location;
use serde_json::json;
use std::{
    path::{Path, PathBuf},
    time::Instant,
};
use tokio::{process::Command, sync::watch};

/// Work of the fake worker process on a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Whole {
    /// Everything but the models: reads, decodes, writes tables, commits.
    Worker,
    /// Commits only.
    Commit,
}

#[derive(Debug, Clone, Copy, clap::Args)]
pub struct StandIn {
    #[arg(long, value_enum, default_value = "commit")]
    pub whole: Whole,
    /// Time on the "device" per shard
    #[arg(long, default_value_t = 20)]
    pub shard_ms: u64,
}

#[derive(Debug, clap::Subcommand)]
pub enum Role {
    /// `capfilt run`
    Run {
        config: PathBuf,
        #[command(flatten)]
        stand_in: StandIn,
    },
    /// `capfilt run --cluster`
    Coordinate { config: PathBuf, nats: String },
    /// `capfilt worker --cluster` with one device
    Worker {
        job: String,
        nats: String,
        #[command(flatten)]
        stand_in: StandIn,
    },
    /// `capfilt device`
    Device {
        job: String,
        #[command(flatten)]
        stand_in: StandIn,
    },
    /// The store alone, for other benchmarks: a folder's files as objects, until standard input ends
    Serve { folder: PathBuf },
}

pub async fn play(role: Role) {
    match role {
        Role::Run { config, stand_in } => run(&config, stand_in).await,
        Role::Coordinate { config, nats } => coordinate(&config, nats).await,
        Role::Worker { job, nats, stand_in } => worker(&job, nats, stand_in).await,
        Role::Device { job, stand_in } => standin::run(&job, stand_in).await,
        Role::Serve { folder } => serve(&folder),
    }
}

/// Says on one line what a process must know of the server, and where the folder is in it.
fn serve(folder: &Path) {
    let store = S3::start();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        store.put(&format!("input/{name}"), std::fs::read(&path).unwrap());
    }
    let env: serde_json::Map<_, _> =
        store.env().into_iter().map(|(key, value)| (key, json!(value))).collect();
    println!("{}", json!({"env": env, "input": store.url("input/"), "job": store.url("jobs/")}));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}

/// Seconds since the start at which things were done, in the order of a run.
struct Times(Instant, serde_json::Map<String, serde_json::Value>);

impl Times {
    fn start() -> Self {
        Self(Instant::now(), serde_json::Map::new())
    }

    fn note(&mut self, what: &str) {
        self.1.entry(what).or_insert_with(|| json!(self.0.elapsed().as_secs_f64()));
    }

    fn print(self) {
        println!("{}", serde_json::Value::Object(self.1));
    }
}

async fn open(config: &PathBuf) -> (Location, Settings, Opened) {
    let settings = parse(&std::fs::read_to_string(config).unwrap(), &[]).unwrap();
    let bucket = Location::open_without_links(&settings.job.url).unwrap();
    let input = Location::open(&settings.input.url).unwrap();
    let file = ModelFile { name: "model.safetensors".to_owned(), bytes: 1, sha256: "0".repeat(64) };
    let model = ModelRecord { files: vec![file] };
    let asked = JobRequest {
        settings: &settings,
        resolved: &settings,
        captioner: &model,
        filter: &model,
        clip: &ModelRecord::none(),
    };
    let opened = job::open_or_create(&bucket, &input, asked, OnInputChange::Refuse).await.unwrap();
    (bucket, settings, opened)
}

fn stand_ins(
    job_url: &str,
    devices: Vec<String>,
    stand_in: StandIn,
) -> WorkerPool<impl Fn(&str, usize) -> Command> {
    let (program, job_url) = (std::env::current_exe().unwrap(), job_url.to_owned());
    let command = move |_: &str, _: usize| {
        let mut command = Command::new(&program);
        let whole = if stand_in.whole == Whole::Worker { "worker" } else { "commit" };
        command.args(["device", &job_url, "--whole", whole, "--shard-ms", &stand_in.shard_ms.to_string()]);
        command
    };
    WorkerPool { devices, command, policy: RetryPolicy::default() }
}

async fn run(config: &PathBuf, stand_in: StandIn) {
    let mut times = Times::start();
    let (bucket, settings, Opened { record, plan, .. }) = open(config).await;
    times.note("opened");
    let attempts = record.settings.limits.attempts;
    let work = Work::remaining(&plan, &JobState::read(&bucket).await.unwrap(), attempts);
    times.note("stood");
    let pool = stand_ins(&bucket.url, settings.workers.devices, stand_in);
    let observe = |seen: Observation<'_>| match seen.change {
        // The pool hands it a shard in the same breath.
        Change::WorkerReady { .. } => times.note("first_shard"),
        Change::Committed { .. } => times.note("first_commit"),
        _ => {}
    };
    let outcome = local::run(&bucket, work, pool, observe, watch::channel(false).1).await.unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    times.note("dispatched");
    let job_state = JobState::read(&bucket).await.unwrap();
    manifest::seal(&bucket, &record, &plan, &job_state).await.unwrap();
    times.note("sealed");
    times.print();
}

async fn queue(bucket: &Location, nats: String) -> (Connection, QueueNames, JobQueue) {
    let link = Connection { url: nats, ..Connection::default() };
    let names = QueueNames::of(&bucket.read(object_keys::JOB).await.unwrap());
    let client = link.connect(|_| {}).await.unwrap();
    (link.clone(), names.clone(), JobQueue::new(client, names, link.shown()))
}

async fn coordinate(config: &PathBuf, nats: String) {
    let mut times = Times::start();
    let (bucket, _, Opened { record, plan, .. }) = open(config).await;
    times.note("opened");
    let (_, _, queue) = queue(&bucket, nats).await;
    let ack_wait = std::time::Duration::from_secs(30);
    let job = CoordinatedJob {
        name: "bench".to_owned(),
        bucket: &bucket,
        record: &record,
        plan: &plan,
        queue: queue.clone(),
        orders: Orders::default(),
        ack_wait,
        load_models: |_| Box::pin(std::future::ready(Ok(()))),
    };
    let observe = |seen: Observation<'_>| match seen.change {
        Change::RowsDone => times.note("filled"),
        Change::Committed { .. } => times.note("first_commit"),
        _ => {}
    };
    let outcome = cluster::coordinate(job, observe, watch::channel(false).1).await.unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
    times.note("dispatched");
    let job_state = JobState::read(&bucket).await.unwrap();
    manifest::seal(&bucket, &record, &plan, &job_state).await.unwrap();
    times.note("sealed");
    queue.say_end(&End::Done).await;
    queue.remove().await.unwrap();
    times.print();
}

async fn worker(job_url: &str, nats: String, stand_in: StandIn) {
    let bucket = Location::open_without_links(job_url).unwrap();
    while job::find(&bucket).await.unwrap().is_none() {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let (link, names, _) = queue(&bucket, nats).await;
    let attempts = job::find(&bucket).await.unwrap().unwrap().settings.limits.attempts;
    let feed = QueueSource::open(link, names, bucket.clone(), attempts).await.unwrap();
    let reporter = feed.reporter();
    let observe = |seen: Observation<'_>| {
        if let Change::Committed { shard, rows, tally, superseded, cost } = seen.change.clone() {
            reporter.news(News::Committed { shard, rows, tally, superseded, cost });
        }
    };
    let work = Work { attempts, ..Work::default() };
    let pool = stand_ins(job_url, vec!["cpu".to_owned()], stand_in);
    let outcome =
        worker_pool::run(&bucket, work, pool, feed, observe, watch::channel(false).1).await.unwrap();
    assert!(matches!(outcome, Outcome::Finished(_)));
}
