//! A job shared by a coordinator and four workers over a bucket, while everything around them fails:
//! processes are killed and stopped, the queue's server dies, and the store refuses, resets, stalls, tears
//! and loses its answers. The result is that of one undisturbed machine.

use crate::support::s3::{
    S3,
    faults::{StoreFault, When},
};
use crate::support::{
    Committed, Job,
    fleet::{Fleet, Member, Part},
    kills,
    nats::Nats,
    repo,
};
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const WORKERS: usize = 4;

const ROWS: u64 = 800;

/// Each of four rows.
const SHARDS: usize = 200;

/// Commits before the last fault, at most: the job must not end before it.
const LAST_FAULT_AT: usize = 170;

/// Fault of the surroundings.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Kill(Member, Part),
    Stop(Member, Part, Duration),
    /// The queue's server is killed, and comes back after this time.
    NoQueue(Duration),
    /// With the calls it lets pass before it hits.
    Store(StoreFault, u32),
}

/// Draws one of its kind.
type MakesFault = fn(&mut StdRng) -> Fault;

/// Sixty faults in random order, each with the number of commits it comes after.
fn faults_of(random: &mut StdRng) -> Vec<(usize, Fault)> {
    let makers: [(usize, MakesFault); 12] = [
        (10, |random| Fault::Kill(any_worker(random), any_part(random))),
        (6, |random| Fault::Stop(any_worker(random), any_part(random), any_time(random, 1..10))),
        (4, |_| Fault::Kill(Member::Coordinator, Part::Parent)),
        (3, |random| Fault::Stop(Member::Coordinator, Part::Parent, any_time(random, 1..10))),
        (5, |random| Fault::NoQueue(any_time(random, 0..3))),
        (4, |random| any_status(random, 500)),
        (4, |random| any_status(random, 503)),
        (4, |random| any_status(random, 429)),
        (6, |random| any_call(StoreFault::Reset(any_when(random)), random)),
        (3, |random| any_call(StoreFault::Stall(Duration::from_secs(10)), random)),
        (6, |random| any_call(StoreFault::Torn(random.random_range(0.0..1.0)), random)),
        (5, |random| {
            Fault::Store(StoreFault::LostCreate { by_reset: random.random() }, random.random_range(0..3))
        }),
    ];
    let mut faults: Vec<Fault> =
        makers.iter().flat_map(|(times, make)| vec![make; *times]).map(|make| make(random)).collect();
    assert_eq!(faults.len(), 60);
    faults.shuffle(random);
    let mut points: Vec<usize> = faults.iter().map(|_| random.random_range(0..=LAST_FAULT_AT)).collect();
    points.sort_unstable();
    points.into_iter().zip(faults).collect()
}

fn any_worker(random: &mut StdRng) -> Member {
    Member::Worker(random.random_range(0..WORKERS))
}

fn any_part(random: &mut StdRng) -> Part {
    [Part::Parent, Part::Device, Part::Whole][random.random_range(0..3)]
}

fn any_time(random: &mut StdRng, seconds: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(random.random_range(seconds.start * 1000..seconds.end * 1000))
}

fn any_when(random: &mut StdRng) -> When {
    if random.random() { When::AfterIt } else { When::BeforeIt }
}

fn any_status(random: &mut StdRng, code: u16) -> Fault {
    let (times, when) = (random.random_range(1..6), any_when(random));
    any_call(StoreFault::Status { code, times, when }, random)
}

fn any_call(fault: StoreFault, random: &mut StdRng) -> Fault {
    Fault::Store(fault, random.random_range(0..12))
}

#[test]
fn a_job_killed_stopped_and_cut_off_60_times_is_that_of_an_undisturbed_machine() {
    let Some(mut nats) = Nats::start() else { return };
    let s3 = S3::start();
    in_small_groups(&repo().join("tests/data/web/web-00000.parquet"), &s3.file("web/web-00000.parquet"));
    let alone = small_shards(Job::over(&s3.file("web").display().to_string()));
    alone.run();
    let undisturbed = alone.committed();
    for seed in kills::seeds() {
        survives(seed, &job_in(&s3, seed), &s3, &mut nats, &undisturbed);
    }
}

fn survives(seed: u64, job: &Job, s3: &S3, nats: &mut Nats, undisturbed: &Committed) {
    println!("seed {seed}");
    let (faults, started) = (faults_of(&mut StdRng::seed_from_u64(seed)), Instant::now());
    let mut fleet = Fleet::start(job, nats, WORKERS);
    for (number, (commits, fault)) in (1..).zip(faults) {
        fleet.tend_until(nats, |fleet| fleet.commits() >= commits);
        println!(
            "fault {number} after {} s and {} commits: {fault:?}",
            started.elapsed().as_secs(),
            fleet.commits()
        );
        match fault {
            Fault::Kill(member, part) => fleet.kill(member, part),
            Fault::Stop(member, part, time) => fleet.stop(member, part, time),
            Fault::NoQueue(time) => {
                nats.down();
                let until = Instant::now() + time;
                fleet.tend_until(nats, |_| Instant::now() >= until);
                nats.up();
            }
            Fault::Store(fault, spares) => {
                s3.faults.arm(fault, spares);
                fleet.tend_until(nats, |_| s3.faults.are_spent());
            }
        }
    }
    fleet.see_out(nats);
    println!("over after {} s", started.elapsed().as_secs());
    let verified = job.verify(0);
    assert_eq!(verified["rows"], ROWS, "seed {seed}: {verified}");
    assert!(job.committed() == *undisturbed, "seed {seed}: the committed tables differ");
}

/// A job whose input and records lie in the bucket. The models lie in a local folder, so that a killed worker
/// restarts soon.
fn job_in(s3: &S3, seed: u64) -> Job {
    let prefix = format!("jobs/{seed}");
    let models = repo().join("tests/data/models").display().to_string();
    let folder = tempfile::tempdir().unwrap();
    let mut job = small_shards(Job::at(folder, s3.url(&prefix), s3.file(&prefix), &s3.url("web"), &models));
    job.env = s3.env();
    job
}

fn small_shards(job: Job) -> Job {
    job.set(&["shards.rows=4", "workers.batch=4"])
}

/// Copies a Parquet file into row groups of four: a shard is never less than one.
fn in_small_groups(from: &Path, to: &Path) {
    let groups =
        WriterProperties::builder().set_max_row_group_row_count(Some(ROWS as usize / SHARDS)).build();
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(from).unwrap()).unwrap();
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    let file = std::fs::File::create(to).unwrap();
    let mut writer = ArrowWriter::try_new(file, Arc::clone(reader.schema()), Some(groups)).unwrap();
    reader.build().unwrap().for_each(|batch| writer.write(&batch.unwrap()).unwrap());
    writer.close().unwrap();
}
