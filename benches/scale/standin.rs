//! The device child of the benchmark: the pipe protocol, the bucket and the commit of a real one, and a timer
//! in place of the models.

use crate::roles::{StandIn, Whole};
use capfilt_coordinator::job;
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    model::{
        Caption, CaptionSource, Captioner, Filter, ModelError, PixelBatch, SampleKey, TextScore, TokenLogProb,
    },
};
use capfilt_schemas::{
    commit::{self, Commit, Output, Timings},
    hash::sha256_hex,
    job::JobDigest,
    object_keys::{self, Table},
    status::{RowStatus, TextStatus},
    tally::{Tally, TextTally},
    texts::SYNTHETIC,
    worker_protocol::{Assignment, Event, SHARDS_IN_CHILD},
};
use capfilt_store::{Committed, Location, commit};
use capfilt_workers::Worker;
use std::{io::Write as _, time::Duration};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    sync::mpsc,
};

/// Side of the pictures the stand-in models take.
const SIDE: usize = 16;

pub async fn run(job_url: &str, stand_in: StandIn) {
    let bucket = Location::open_without_links(job_url).unwrap();
    let (record, digest) = job::find_with_digest(&bucket).await.unwrap().unwrap();
    let (assign, assignments) = mpsc::channel(SHARDS_IN_CHILD);
    tokio::spawn(read_assignments(assign));
    say(&Event::Ready { device: "cpu".to_owned(), worker: "stand-in".to_owned() });
    let pause = Duration::from_millis(stand_in.shard_ms);
    if stand_in.whole == Whole::Commit {
        return commit_only(&bucket, &digest, pause, assignments).await;
    }
    let settings = record.settings;
    let rule = Rule::new(&settings);
    let worker = Worker {
        name: "stand-in".to_owned(),
        device: "cpu".to_owned(),
        input: Location::open(&settings.input.url).unwrap(),
        bucket,
        job: digest,
        capfilt: CapFilt::new(CaptionSource::Model(Box::new(Timer(pause))), Box::new(Judge), rule, 8),
        settings,
        decode_threads: 1,
        memory: 1 << 30,
    };
    capfilt_workers::run(worker, assignments, |event| say(&event)).await.unwrap();
}

async fn read_assignments(assign: mpsc::Sender<Assignment>) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if assign.send(serde_json::from_str(&line).unwrap()).await.is_err() {
            return;
        }
    }
}

fn say(event: &Event) {
    let mut out = std::io::stdout().lock();
    // A parent that is gone hears nothing, as with the real child.
    let _ = writeln!(out, "{}", serde_json::to_string(event).unwrap()).and_then(|()| out.flush());
}

/// A worker without tables: after its time on the "device", every shard gets a commit record of the usual
/// size.
async fn commit_only(
    bucket: &Location,
    job: &JobDigest,
    pause: Duration,
    mut assignments: mpsc::Receiver<Assignment>,
) {
    while let Some(assignment) = assignments.recv().await {
        let shard = assignment.shard.id.clone();
        say(&Event::Started { shard: shard.clone() });
        tokio::time::sleep(pause).await;
        let record = record(&assignment, job);
        say(&Event::Progress { shard: shard.clone(), rows: record.rows, tally: record.tally.clone() });
        let superseded = matches!(commit(bucket, &record).await.unwrap(), Committed::Superseded(_));
        let cost = record.cost();
        let Commit { attempt, rows, tally, .. } = record;
        say(&Event::Committed { shard, attempt, rows, tally, superseded, cost });
    }
}

fn record(assignment: &Assignment, job: &JobDigest) -> Commit {
    let Assignment { shard, attempt, commit_n, .. } = assignment;
    let rows = shard.rows;
    let texts = TextTally { statuses: [(TextStatus::Judged, rows)].into(), kept: rows };
    let tally = Tally {
        rows: [(RowStatus::Judged, rows)].into(),
        texts: ["caption", SYNTHETIC].map(|source| (source.to_owned(), texts.clone())).into(),
        pairs: rows,
    };
    let output = |table| {
        let path = object_keys::output(&shard.id, attempt, table);
        Output { table, bytes: 12_345, sha256: sha256_hex(path.as_bytes()), path, rows }
    };
    Commit {
        version: commit::VERSION,
        shard: shard.id.clone(),
        n: *commit_n,
        attempt: attempt.clone(),
        worker: "stand-in-machine-name-12345-0".to_owned(),
        rows,
        tally,
        outputs: [Table::Ledger, Table::Pairs].map(output).into(),
        batch: 8,
        timings: Timings::default(),
        job: Some(job.clone()),
    }
}

/// A captioner that takes its time, once per shard of one batch.
struct Timer(Duration);

impl Captioner for Timer {
    fn image_side(&self) -> usize {
        SIDE
    }

    fn caption(
        &mut self,
        images: &PixelBatch,
        _: &[SampleKey],
        captions: usize,
    ) -> Result<Vec<Vec<Caption>>, ModelError> {
        std::thread::sleep(self.0);
        let caption = Caption { text: "a picture of a red square".to_owned(), ids: vec![1, 2, 3] };
        Ok(vec![vec![caption; captions]; images.len()])
    }

    /// Only the known-answer test asks, and a timer has nothing to prove.
    fn log_probs(
        &mut self,
        _: &PixelBatch,
        captions: &[Vec<i64>],
    ) -> Result<Vec<Vec<TokenLogProb>>, ModelError> {
        Ok(vec![Vec::new(); captions.len()])
    }
}

/// A filter that keeps everything.
struct Judge;

impl Filter for Judge {
    fn image_side(&self) -> usize {
        SIDE
    }

    fn score(&mut self, _: &PixelBatch, texts: &[Vec<String>]) -> Result<Vec<Vec<TextScore>>, ModelError> {
        let score = TextScore { itm: 0.9, itc: 0.4 };
        Ok(texts.iter().map(|texts| vec![score; texts.len()]).collect())
    }
}
