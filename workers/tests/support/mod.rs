//! A worker over an input in a temporary folder, with fake models.

#![allow(dead_code)] // some tests use only a part

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray};
use capfilt_pipeline::{
    capfilt::{CapFilt, Rule},
    model::{
        Caption, CaptionSource, Captioner, Filter, ModelError, PixelBatch, SampleKey, TextScore, TokenLogProb,
    },
};
use capfilt_schemas::{
    object_keys::AttemptId,
    plan::{InputFile, Part, Shard, ShardId},
    settings::{Settings, parse},
    worker_protocol::{Assignment, Event},
};
use capfilt_store::Location;
use capfilt_workers::Worker;
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

/// Rows of each of the two shards.
pub const ROWS: usize = 20;

/// A device that has room for `fits` images at a time, and records the sizes of all requests.
pub struct Small {
    pub fits: usize,
    pub asked: Arc<Mutex<Vec<usize>>>,
}

impl Captioner for Small {
    fn image_side(&self) -> usize {
        16
    }

    fn caption(
        &mut self,
        images: &PixelBatch,
        _: &[SampleKey],
        _: usize,
    ) -> Result<Vec<Vec<Caption>>, ModelError> {
        self.asked.lock().unwrap().push(images.len());
        if images.len() > self.fits {
            return Err(ModelError::OutOfMemory {
                batch: images.len(),
                message: "set by the test".to_owned(),
            });
        }
        let caption = Caption { text: "a picture".to_owned(), ids: vec![1] };
        Ok(vec![vec![caption]; images.len()])
    }

    fn log_probs(&mut self, _: &PixelBatch, _: &[Vec<i64>]) -> Result<Vec<Vec<TokenLogProb>>, ModelError> {
        unreachable!("only the self-test requests log-probabilities")
    }
}

/// A filter that keeps every text, or no text.
struct Likes(bool);

impl Filter for Likes {
    fn image_side(&self) -> usize {
        16
    }

    fn score(&mut self, _: &PixelBatch, texts: &[Vec<String>]) -> Result<Vec<Vec<TextScore>>, ModelError> {
        let score = TextScore { itm: if self.0 { 0.9 } else { 0.1 }, itc: 0.3 };
        Ok(texts.iter().map(|texts| vec![score; texts.len()]).collect())
    }
}

/// An input of two shards in a temporary folder, and a folder for the job.
pub struct World {
    pub folder: tempfile::TempDir,
    pub shards: Vec<Shard>,
}

impl World {
    /// Two shards of [`ROWS`] small rows.
    pub async fn new() -> Self {
        let image = include_bytes!("../../../pipeline/tests/small/baseline.jpg").as_slice();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("key", Arc::new(StringArray::from_iter_values((0..2 * ROWS).map(|i| format!("k{i}"))))),
            ("jpg", Arc::new(BinaryArray::from_iter_values(vec![image; 2 * ROWS]))),
            ("caption", Arc::new(StringArray::from_iter_values((0..2 * ROWS).map(|i| format!("text {i}"))))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        Self::of(std::iter::once(batch), ROWS, 2).await
    }

    /// Shards of `rows` rows each, from batches that need not be in memory together.
    pub async fn of(batches: impl Iterator<Item = RecordBatch>, rows: usize, shards: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("web")).unwrap();
        let mut batches = batches.peekable();
        let groups = WriterProperties::builder()
            .set_max_row_group_row_count(Some(rows))
            .set_max_row_group_bytes(None)
            .set_dictionary_page_size_limit(1 << 30)
            .build();
        let file = std::fs::File::create(folder.path().join("web/a.parquet")).unwrap();
        let mut writer = ArrowWriter::try_new(file, batches.peek().unwrap().schema(), Some(groups)).unwrap();
        batches.for_each(|batch| writer.write(&batch).unwrap());
        writer.close().unwrap();
        let web = Location::open_without_links(&folder.path().join("web").display().to_string()).unwrap();
        let meta = web.head("a.parquet").await.unwrap().unwrap();
        let file =
            Arc::new(InputFile { path: "a.parquet".to_owned(), etag: meta.e_tag.unwrap(), bytes: meta.size });
        let shard = |group: u32| Shard {
            id: ShardId::of(&file.path, &file.etag, group..group + 1),
            file: Arc::clone(&file),
            part: Part::RowGroups(group..group + 1),
            rows_exact: true,
            first_row: u64::from(group) * rows as u64,
            rows: rows as u64,
            bytes: 1,
        };
        let shards = (0..shards).map(shard).collect();
        Self { folder, shards }
    }

    pub fn settings(&self) -> Settings {
        let at = |name: &str| self.folder.path().join(name).display().to_string();
        let (job, web) = (at("job"), at("web"));
        let text = format!(
            "[job]\nurl='{job}'\n[input]\nurl='{web}'\n[models]\ncaptioner='/c'\nfilter='/f'\n\
             [limits]\nmin_side=1\n"
        );
        parse(&text, &[]).unwrap()
    }

    /// Executes all shards at a batch of 8 on a device with room for `fits` images. Returns the events, and
    /// the sizes of the device's requests.
    pub async fn run(&self, fits: usize) -> (Vec<Event>, Vec<usize>) {
        self.run_with(fits, true, self.settings()).await
    }

    /// As [`Self::run`], with other settings and a filter that keeps every text or no text.
    pub async fn run_with(&self, fits: usize, keeps: bool, settings: Settings) -> (Vec<Event>, Vec<usize>) {
        let asked = Arc::<Mutex<Vec<usize>>>::default();
        let rule = Rule::new(&settings);
        let captioner = Small { fits, asked: Arc::clone(&asked) };
        let worker = Worker {
            name: "small-0".to_owned(),
            device: "small".to_owned(),
            bucket: Location::open_without_links(&settings.job.url).unwrap(),
            job: capfilt_schemas::job::JobDigest::of(b"{}"),
            input: Location::open(&settings.input.url).unwrap(),
            capfilt: CapFilt::new(CaptionSource::Model(Box::new(captioner)), Box::new(Likes(keeps)), rule, 8),
            settings,
            decode_threads: 1,
            memory: 1 << 30,
        };
        let (assign, assignments) = mpsc::channel(2);
        for (i, shard) in self.shards.iter().enumerate() {
            let attempt = AttemptId::from_random(i as u128);
            assign.send(Assignment::of(shard.clone(), attempt)).await.unwrap();
        }
        drop(assign);
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let heard = Arc::clone(&events);
        capfilt_workers::run(worker, assignments, move |event| heard.lock().unwrap().push(event))
            .await
            .unwrap();
        let (events, asked) = (events.lock().unwrap().clone(), asked.lock().unwrap().clone());
        (events, asked)
    }
}
