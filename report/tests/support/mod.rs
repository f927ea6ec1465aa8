//! Finished jobs with generated rows: input, tables, commits and manifest.

use arrow::{
    array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions, StringArray},
    datatypes::{Field, Schema},
};
use bytes::Bytes;
use capfilt_coordinator::{
    JobState, OnInputChange, job,
    job::JobRequest,
    manifest,
    outputs::{Version, outputs},
    state::commits::ShardResult,
};
use capfilt_pipeline::{
    image::{RgbImage, encode_png},
    input::{ImageInput, Origin},
    output::{JudgedRows, ShardWriter, read_ledger},
};
use capfilt_schemas::{
    commit::{self, Commit, Timings},
    job::{ModelFile, ModelRecord},
    ledger::LedgerRow,
    object_keys::{AttemptId, Table},
    plan::Shard,
    settings::{Settings, parse},
    status::{RowStatus, TextStatus},
    tally::Tally,
    texts::{LedgerText, OptionalColumns, Scored},
    verdict::{admitted, verdicts},
};
use capfilt_store::Location;
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// A job in a temporary folder.
pub struct World {
    pub folder: tempfile::TempDir,
    pub settings: Settings,
}

/// A generated row.
#[derive(Clone)]
pub struct Row {
    pub key: String,
    pub status: RowStatus,
    pub image: Bytes,
    /// Source, text and P(match) of each text; `None` for a text that was not judged.
    pub texts: Vec<(String, String, Option<f32>)>,
    pub control: Option<f32>,
    pub detail: Option<String>,
}

impl World {
    /// A job with these settings in addition to its places.
    pub fn new(overrides: &[&str]) -> Self {
        Self::within(&std::env::temp_dir(), overrides)
    }

    /// A job in a new folder within `parent`.
    pub fn within(parent: &std::path::Path, overrides: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(parent).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "[job]\nurl='{}'\n[input]\nurl='{}'\n[models]\ncaptioner='/c'\nfilter='/f'\nprecision='f32'\n\
             [workers]\nbatch=4\n",
            at("job"),
            at("web")
        );
        let overrides: Vec<String> = overrides.iter().map(|entry| (*entry).to_owned()).collect();
        let settings = parse(&text, &overrides).unwrap();
        std::fs::create_dir(folder.path().join("web")).unwrap();
        Self { folder, settings }
    }

    pub fn bucket(&self) -> Location {
        Location::open_without_links(&self.settings.job.url).unwrap()
    }

    /// Writes an input file with the images of rows, in row groups of `group` rows.
    pub fn write_input(&self, name: &str, rows: &[Row], group: usize) {
        let keys = StringArray::from_iter_values(rows.iter().map(|row| row.key.as_str()));
        let images = BinaryArray::from_iter_values(rows.iter().map(|row| row.image.as_ref()));
        let captions = StringArray::from_iter_values(rows.iter().map(|_| "text"));
        let captions: ArrayRef = Arc::new(captions);
        let columns: [(&str, ArrayRef); 4] = [
            ("key", Arc::new(keys)),
            ("jpg", Arc::new(images)),
            ("caption", Arc::clone(&captions)),
            ("alt", captions),
        ];
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let arrays = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
        let file = std::fs::File::create(self.folder.path().join("web").join(name)).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    /// Plans the job, executes every shard with the rows of `of`, and seals it. `change` changes the tally of
    /// each commit.
    pub async fn finish(&self, of: impl Fn(&Shard, u64) -> Row, change: impl Fn(&mut Tally)) {
        let files =
            vec![ModelFile { name: "model.safetensors".to_owned(), bytes: 1, sha256: "ab".repeat(32) }];
        let (model, none) = (ModelRecord { files }, ModelRecord::none());
        let settings = &self.settings;
        let asked = JobRequest {
            settings,
            resolved: settings,
            captioner: &model,
            filter: &model,
            clip: if settings.models.clip.is_some() { &model } else { &none },
        };
        let input = Location::open(&settings.input.url).unwrap();
        let opened = job::open_or_create(&self.bucket(), &input, asked, OnInputChange::Refuse).await.unwrap();
        for shard in &opened.plan {
            let rows: Vec<Row> =
                (shard.first_row..shard.first_row + shard.rows).map(|row| of(shard, row)).collect();
            self.work(shard, &rows, &change).await;
        }
        let job_state = JobState::read(&self.bucket()).await.unwrap();
        manifest::seal(&self.bucket(), &opened.record, &opened.plan, &job_state).await.unwrap();
    }

    /// Rows of the ledgers of the finished job.
    pub async fn ledger(&self) -> Vec<LedgerRow> {
        let (bucket, mut ledgers, mut rows) = (self.bucket(), Vec::new(), Vec::new());
        let take = |_: &Shard, one: ShardResult| {
            ledgers.extend(one.commit.outputs.into_iter().filter(|output| output.table == Table::Ledger));
        };
        outputs(&bucket, Version::Newest, take).await.unwrap();
        for ledger in &ledgers {
            rows.extend(read_ledger(&bucket, ledger, usize::MAX).await.unwrap());
        }
        rows
    }

    async fn work(&self, shard: &Shard, rows: &[Row], change: impl Fn(&mut Tally)) {
        let bucket = self.bucket();
        let attempt = AttemptId::from_random(rand::random());
        let output = &self.settings.output;
        let optional = OptionalColumns { clip: self.settings.models.clip.is_some(), embeddings: None };
        let mut writer = ShardWriter::create(&bucket, &shard.id, &attempt, &[], output, optional).unwrap();
        let mut at = shard.first_row;
        for chunk in rows.chunks(1000) {
            writer.write(&self.judged(shard, at, chunk)).await.unwrap();
            at += chunk.len() as u64;
        }
        let mut written = writer.finish().await.unwrap();
        change(&mut written.tally);
        let timings = Timings {
            fetch_seconds: 1.0,
            decode_seconds: 2.0,
            device_seconds: 6.0,
            write_seconds: 0.5,
            total_seconds: 7.0,
        };
        let record = Commit {
            version: commit::VERSION,
            shard: shard.id.clone(),
            n: 0,
            attempt,
            worker: "machine-1#0".to_owned(),
            rows: shard.rows,
            tally: written.tally,
            outputs: written.outputs,
            batch: 4,
            timings,
            job: job::digest(&bucket).await.unwrap(),
        };
        capfilt_store::commit(&bucket, &record).await.unwrap();
    }

    fn judged(&self, shard: &Shard, first_row: u64, rows: &[Row]) -> JudgedRows {
        let ledger = rows.iter().zip(first_row..).map(|(row, number)| self.ledger_row(shard, row, number));
        let image =
            |row: &Row| ImageInput::Bytes { bytes: row.image.clone(), origin: Origin::Row { path: None } };
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let none = Arc::new(Schema::empty());
        JudgedRows {
            ledger: ledger.collect(),
            images: rows.iter().map(image).collect(),
            texts: rows.iter().map(|_| Vec::new()).collect(),
            passthrough: RecordBatch::try_new_with_options(none, vec![], &options).unwrap(),
        }
    }

    /// CLIP score of a text, in a job with CLIP scores: quarters, so that some are equal, and some outside of
    /// the histogram.
    fn clip_of(&self, text: &str) -> Option<f32> {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let quarters = i32::from(digest[0]) - 20;
        self.settings.models.clip.as_ref().map(|_| quarters as f32 / 4.0)
    }

    /// The ledger row of a generated row, with verdicts by the program's rule.
    pub fn ledger_row(&self, shard: &Shard, row: &Row, number: u64) -> LedgerRow {
        let mut texts: Vec<LedgerText> = row.texts.iter().map(unjudged).collect();
        for source in ["caption", "alt", "synthetic"] {
            let of: Vec<usize> = (0..texts.len()).filter(|at| &*texts[*at].source == source).collect();
            let itm: Vec<Option<f32>> = of.iter().map(|at| row.texts[*at].2).collect();
            let clip: Vec<Option<f32>> = of.iter().map(|at| self.clip_of(&row.texts[*at].1)).collect();
            let keep = self.settings.captioner.keep.filter(|_| source == "synthetic");
            let least = self.settings.filter.clip_threshold(source);
            let itm_of_rule: Vec<_> =
                itm.iter().zip(&clip).map(|(itm, clip)| admitted(*itm, *clip, least)).collect();
            let kept = verdicts(&itm_of_rule, self.settings.filter.threshold(source), keep);
            for (((at, itm), clip), kept) in of.into_iter().zip(itm).zip(clip).zip(kept) {
                texts[at].scored = itm.map(|itm| Scored { itm, itc: itm - 0.5, clip, kept });
            }
        }
        let is_judged = row.status == RowStatus::Judged;
        LedgerRow {
            key: Some(row.key.clone()),
            image_sha256: (!row.image.is_empty()).then(|| Sha256::digest(&row.image).into()),
            image_hash: is_judged.then_some(number % 17),
            width: is_judged.then_some(24),
            height: is_judged.then_some(16),
            status: row.status,
            texts: if is_judged { texts } else { Vec::new() },
            control_itm: row.control.filter(|_| is_judged),
            control_clip: self.clip_of(&row.key).filter(|_| is_judged && row.control.is_some()),
            detail: row.detail.clone(),
            ..LedgerRow::missing(&shard.file.path, number)
        }
    }
}

fn unjudged((source, text, itm): &(String, String, Option<f32>)) -> LedgerText {
    let status = if itm.is_some() { TextStatus::Judged } else { TextStatus::Empty };
    let mut entry = LedgerText::new(source.as_str().into(), Some(text.clone()), status);
    entry.language = itm.map(|itm| if itm > 0.3 { "en" } else { "de" }.to_owned());
    entry.repetition = itm.map(|itm| itm / 2.0);
    entry
}

/// A picture of one colour.
pub fn picture(colour: u8) -> Bytes {
    let pixels_u8 = [colour, 90, 255 - colour].repeat(24 * 16);
    encode_png(&RgbImage { width: 24, height: 16, pixels_u8, reduced_from: None }).into()
}

/// A judged row with these texts.
pub fn judged(number: u64, texts: &[(&str, &str, f32)]) -> Row {
    let owned =
        |(source, text, itm): &(&str, &str, f32)| ((*source).to_owned(), (*text).to_owned(), Some(*itm));
    Row {
        key: format!("k{number}"),
        status: RowStatus::Judged,
        image: picture((number % 251) as u8),
        texts: texts.iter().map(owned).collect(),
        control: Some((number % 10) as f32 / 10.0),
        detail: None,
    }
}
