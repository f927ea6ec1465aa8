//! Fixtures of tests: real Parquet input in a temporary folder, a job beside the input, and a stub worker
//! that writes real tables and commits.

#![allow(dead_code)]

pub mod tables;

use arrow::{
    array::{ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray},
    datatypes::{Field, Schema},
};
use capfilt_coordinator::{OnInputChange, Plan, job, job::JobRequest, plan};
use capfilt_schemas::{
    commit::{Commit, Output, Timings},
    failure::{self, Failure, FailureClass},
    hash::sha256_hex,
    job::{ModelFile, ModelRecord},
    ledger::{self, LedgerRow},
    object_keys::{self, AttemptId, Table},
    plan::Shard,
    settings::{Settings, parse},
};
use capfilt_store::{Location, commit};
use parquet::{arrow::ArrowWriter, file::properties::WriterProperties};
use std::{path::PathBuf, sync::Arc};

pub struct World {
    pub folder: tempfile::TempDir,
    pub settings: Settings,
    pub model: ModelRecord,
}

/// The record of a job without CLIP.
static NO_MODEL: ModelRecord = ModelRecord { files: Vec::new() };

impl World {
    /// An empty input without a job; `shards.rows` is 10.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("web")).unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let text = format!(
            "[job]\nurl='{}'\n[input]\nurl='{}'\n[models]\ncaptioner='/c'\nfilter='/f'\nprecision='f32'\n\
             [workers]\nbatch=4\n[shards]\nrows=10\n",
            at("job"),
            at("web")
        );
        let files =
            vec![ModelFile { name: "model.safetensors".to_owned(), bytes: 1, sha256: "ab".repeat(32) }];
        Self { settings: parse(&text, &[]).unwrap(), model: ModelRecord { files }, folder }
    }

    pub fn input(&self) -> Location {
        Location::open(&self.settings.input.url).unwrap()
    }

    pub fn bucket(&self) -> Location {
        Location::open_without_links(&self.settings.job.url).unwrap()
    }

    pub fn web(&self, name: &str) -> PathBuf {
        self.folder.path().join("web").join(name)
    }

    /// Writes an input file of `rows` rows in row groups of `group` rows.
    pub fn write_input(&self, name: &str, rows: usize, group: usize) {
        write_table(&self.web(name), &columns(rows), group);
    }

    pub async fn plan(&self) -> Plan {
        plan(&self.input(), &self.settings).await.unwrap()
    }

    pub fn asked(&self) -> JobRequest<'_> {
        JobRequest {
            settings: &self.settings,
            resolved: &self.settings,
            captioner: &self.model,
            filter: &self.model,
            clip: &NO_MODEL,
        }
    }

    pub async fn open(&self) -> Result<job::Opened, capfilt_coordinator::JobError> {
        job::open_or_create(&self.bucket(), &self.input(), self.asked(), OnInputChange::Refuse).await
    }
}

fn columns(rows: usize) -> Vec<(&'static str, ArrayRef)> {
    let all = 0..rows as i32;
    vec![
        ("key", Arc::new(StringArray::from_iter_values(all.clone().map(|i| format!("k{i}")))) as ArrayRef),
        ("jpg", Arc::new(BinaryArray::from_iter_values(all.clone().map(|i| format!("image {i}"))))),
        ("caption", Arc::new(StringArray::from_iter_values(all.clone().map(|i| format!("text {i}"))))),
        ("width", Arc::new(Int32Array::from_iter_values(all))),
    ]
}

pub fn write_table(path: &std::path::Path, columns: &[(&str, ArrayRef)], group: usize) {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Executes a shard as a worker process does. `spoil` may change the ledger rows after the tally was computed
/// from the sound rows.
pub async fn work(bucket: &Location, shard: &Shard, spoil: impl FnOnce(&mut Vec<LedgerRow>)) -> Commit {
    let attempt = AttemptId::from_random(rand::random());
    let mut rows = tables::ledger_rows(shard);
    let tally = tables::tally(&rows);
    let pairs = tables::pairs(&rows);
    let set_aside = tables::quarantine(&rows);
    spoil(&mut rows);
    let mut outputs = Vec::new();
    for (table, batch) in [
        (Table::Ledger, ledger::batch(&rows).unwrap()),
        (Table::Pairs, pairs),
        (Table::Quarantine, set_aside),
    ] {
        let bytes = tables::encode(&batch);
        let path = object_keys::output(&shard.id, &attempt, table);
        let rows = if table == Table::Ledger { shard.rows } else { batch.num_rows() as u64 };
        outputs.push(Output {
            table,
            path: path.clone(),
            bytes: bytes.len() as u64,
            sha256: sha256_hex(&bytes),
            rows,
        });
        bucket.write(&path, bytes).await.unwrap();
    }
    let record = Commit {
        version: capfilt_schemas::commit::VERSION,
        shard: shard.id.clone(),
        n: 0,
        attempt,
        worker: "stub#0".to_owned(),
        rows: shard.rows,
        tally,
        outputs,
        batch: 4,
        timings: Timings::default(),
        job: job::digest(bucket).await.unwrap(),
    };
    commit(bucket, &record).await.unwrap();
    record
}

pub async fn fail(bucket: &Location, shard: &Shard, class: FailureClass) {
    let attempt = AttemptId::from_random(rand::random());
    let failure = Failure {
        version: failure::VERSION,
        shard: shard.id.clone(),
        attempt: attempt.clone(),
        worker: "stub#0".to_owned(),
        class,
        message: "set by the test".to_owned(),
        crash: None,
        job: job::digest(bucket).await.unwrap(),
    };
    bucket
        .write(&object_keys::failure(&shard.id, &attempt), serde_json::to_vec(&failure).unwrap().into())
        .await
        .unwrap();
}
