//! A device with too little memory: the batch is halved until it fits, the log says so, and so does the commit.

#![allow(clippy::unwrap_used)]

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use capfilt_bucket::{Bucket, Place};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    model::{Caption, Captioner, Filter, ModelError, PixelBatch, SampleKey, TextScore, WordOdds},
};
use capfilt_schemas::{
    commit::Commit,
    failure::FailureClass,
    names::{self, AttemptId},
    pipe::{Assignment, Event},
    plan::{InputFile, Shard, ShardId},
    settings::{Settings, parse},
};
use capfilt_workers::Worker;
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Rows of each of the two shards.
const ROWS: usize = 20;

/// A device that takes so many images at a time, and remembers how many it was asked to.
struct Small {
    fits: usize,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Captioner for Small {
    fn image_side(&self) -> usize {
        16
    }

    fn caption(&mut self, images: &PixelBatch, _: &[SampleKey], _: usize) -> Result<Vec<Vec<Caption>>, ModelError> {
        self.asked.lock().unwrap().push(images.len());
        if images.len() > self.fits {
            return Err(ModelError::OutOfMemory { batch: images.len(), message: "as the test wished".to_owned() });
        }
        let caption = Caption { text: "a picture".to_owned(), ids: vec![1] };
        Ok(vec![vec![caption]; images.len()])
    }

    fn odds(&mut self, _: &PixelBatch, _: &[Vec<i64>]) -> Result<Vec<Vec<WordOdds>>, ModelError> {
        unreachable!("only a proof of the models asks for odds")
    }
}

struct Likes;

impl Filter for Likes {
    fn image_side(&self) -> usize {
        16
    }

    fn score(&mut self, _: &PixelBatch, texts: &[Vec<String>]) -> Result<Vec<Vec<TextScore>>, ModelError> {
        let score = TextScore { itm: 0.9, itc: 0.3 };
        Ok(texts.iter().map(|texts| vec![score; texts.len()]).collect())
    }
}

/// An input of two shards in a temporary folder, and a place for the job.
struct World {
    folder: tempfile::TempDir,
    shards: Vec<Shard>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("web")).unwrap();
        let image = include_bytes!("../../pipeline/tests/small/baseline.jpg").as_slice();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("key", Arc::new(StringArray::from_iter_values((0..2 * ROWS).map(|i| format!("k{i}"))))),
            ("jpg", Arc::new(BinaryArray::from_iter_values(vec![image; 2 * ROWS]))),
            ("caption", Arc::new(StringArray::from_iter_values((0..2 * ROWS).map(|i| format!("text {i}"))))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let groups = WriterProperties::builder().set_max_row_group_row_count(Some(ROWS)).build();
        let file = std::fs::File::create(folder.path().join("web/a.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(groups)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let web = Bucket::open(&folder.path().join("web").display().to_string()).unwrap();
        let meta = web.head("a.parquet").await.unwrap().unwrap();
        let file = Arc::new(InputFile { path: "a.parquet".to_owned(), etag: meta.e_tag.unwrap(), bytes: meta.size });
        let shard = |group: u32| Shard {
            id: ShardId::of(&file.path, &file.etag, group..group + 1),
            file: Arc::clone(&file),
            row_groups: group..group + 1,
            first_row: u64::from(group) * ROWS as u64,
            rows: ROWS as u64,
            bytes: 1,
        };
        let shards = vec![shard(0), shard(1)];
        Self { folder, shards }
    }

    fn settings(&self) -> Settings {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let (job, web) = (at("job"), at("web"));
        let text = format!(
            "[job]\nurl='{job}'\n[input]\nurl='{web}'\n[models]\ncaptioner='/c'\nfilter='/f'\n[limits]\nmin_side=1\n"
        );
        parse(&text, &[]).unwrap()
    }

    /// Both shards done at a batch of 8 on a device that takes `fits` images: the events, and what the device was asked.
    async fn run(&self, fits: usize) -> (Vec<Event>, Vec<usize>) {
        let settings = self.settings();
        let asked = Arc::<Mutex<Vec<usize>>>::default();
        let rule = Rule::new(&settings.filter, 1, 0);
        let captioner = Small { fits, asked: Arc::clone(&asked) };
        let worker = Worker {
            name: "small-0".to_owned(),
            device: "small".to_owned(),
            bucket: Bucket::open(&settings.job.url).unwrap(),
            input: Place::open(&settings.input.url).unwrap(),
            capfilt: CapFilt::new(Box::new(captioner), Box::new(Likes), rule, 8),
            settings,
            decode_threads: 1,
        };
        let (assign, assignments) = mpsc::channel(2);
        for (i, shard) in self.shards.iter().enumerate() {
            let attempt = AttemptId::from_random(i as u128);
            assign.send(assignment(shard, attempt)).await.unwrap();
        }
        drop(assign);
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let heard = Arc::clone(&events);
        capfilt_workers::run(worker, assignments, move |event| heard.lock().unwrap().push(event)).await.unwrap();
        let (events, asked) = (events.lock().unwrap().clone(), asked.lock().unwrap().clone());
        (events, asked)
    }
}

fn assignment(shard: &Shard, attempt: AttemptId) -> Assignment {
    let (set_aside, try_alone, repair) = (Vec::new(), Vec::new(), None);
    Assignment { shard: shard.clone(), attempt, commit_n: 0, set_aside, try_alone, repair }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_batch_is_halved_until_it_fits_and_stays_so_and_log_and_commit_tell_it() {
    let log = Log::default();
    let writer = log.clone();
    let logs =
        tracing_subscriber::fmt().json().with_max_level(tracing::Level::WARN).with_writer(move || writer.clone());
    logs.init();
    let world = World::new().await;
    let (events, asked) = world.run(3).await;

    assert_eq!(asked[..3], [8, 4, 2]);
    assert!(asked[3..].iter().all(|images| *images <= 2), "{asked:?}");
    let bucket = Bucket::open(&world.settings().job.url).unwrap();
    for shard in &world.shards {
        let commit: Commit = bucket.read_record(&names::commit(&shard.id, 0)).await.unwrap();
        assert_eq!((commit.batch, commit.rows, commit.tally.judged()), (2, ROWS as u64, ROWS as u64));
    }
    let batches: Vec<u32> = events
        .iter()
        .filter_map(|event| match event {
            Event::Committed { cost, .. } => Some(cost.batch),
            _ => None,
        })
        .collect();
    assert_eq!(batches, [2, 2]);

    // The log is the process's; another test's device has other shards.
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |shard: &Shard| -> Vec<&serde_json::Value> {
        lines.iter().filter(|line| line["span"]["shard"] == shard.id.as_str()).collect()
    };
    let (ours, next) = (of(&world.shards[0]), of(&world.shards[1]));
    let chosen: Vec<u64> = ours.iter().map(|line| line["fields"]["batch"].as_u64().unwrap()).collect();
    assert_eq!((chosen, next.len()), (vec![4, 2], 0), "each halving is said once\n{text}");
    assert!(ours.iter().all(|line| line["span"]["device"] == "small"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_takes_not_even_one_image_fails_the_attempt_and_commits_nothing() {
    let world = World::new().await;
    let (events, asked) = world.run(0).await;
    assert_eq!(asked, [8, 4, 2, 1, 1], "at last one image, for either shard");
    let classes: Vec<FailureClass> = events
        .iter()
        .filter_map(|event| match event {
            Event::Failed { failure } => Some(failure.class),
            _ => None,
        })
        .collect();
    assert_eq!(classes, [FailureClass::DeviceMemory; 2]);
    assert!(!world.folder.path().join("job/commits").exists());
}
