//! The commit: the small create-only record that makes an attempt the shard's result.

use crate::{
    job::JobDigest,
    object_keys::{self, AttemptId, Table},
    plan::ShardId,
    record::Record,
    tally::Tally,
};
use serde::{Deserialize, Serialize};

/// Version of the commit record. Version 1 counted one text of the input per row.
pub const VERSION: u32 = 2;

/// `commits/<shard>/<n>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// The shard whose result this is.
    pub shard: ShardId,
    /// Number of the commit: 0, or one more than the commit that it repairs.
    pub n: u32,
    /// Attempt of the commit. After a lost answer, it also tells whether this attempt or another one won.
    pub attempt: AttemptId,
    /// Name of the worker process.
    pub worker: String,
    /// Rows of the shard.
    pub rows: u64,
    /// Tally over the ledger.
    pub tally: Tally,
    /// Tables that the attempt wrote: the ledger, and the other tables if they have a row.
    pub outputs: Vec<Output>,
    /// Images per model call.
    pub batch: u32,
    /// Time of the attempt.
    pub timings: Timings,
    /// The job of the record; `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Record for Commit {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "commit";
}

/// One object that an attempt wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Table of the object.
    pub table: Table,
    /// Path below the job's URL.
    pub path: String,
    /// Size of the object.
    pub bytes: u64,
    /// SHA-256 of the object, in hexadecimal digits.
    pub sha256: String,
    /// Rows of the table.
    pub rows: u64,
}

impl Output {
    /// Whether the object is a tar; other objects are Parquet files.
    pub fn is_tar(&self) -> bool {
        self.path.ends_with(object_keys::TAR)
    }
}

/// Seconds per stage. Stages overlap, so their sum exceeds `total_seconds`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    /// Reading of input bytes.
    pub fetch_seconds: f64,
    /// Decoding and resizing of images, and cleaning of texts.
    pub decode_seconds: f64,
    /// Computation of the models.
    pub device_seconds: f64,
    /// Encoding and writing of the tables.
    pub write_seconds: f64,
    /// The whole attempt.
    pub total_seconds: f64,
}

/// Cost of an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Images per model call at the end of the attempt.
    pub batch: u32,
    /// Time of the attempt.
    pub timings: Timings,
}

impl Timings {
    /// Adds the seconds of another attempt, stage by stage.
    pub fn merge(&mut self, other: &Self) {
        self.fetch_seconds += other.fetch_seconds;
        self.decode_seconds += other.decode_seconds;
        self.device_seconds += other.device_seconds;
        self.write_seconds += other.write_seconds;
        self.total_seconds += other.total_seconds;
    }

    /// Names and seconds of the stages, in the order of processing.
    pub fn stages(&self) -> [(&'static str, f64); 4] {
        [
            ("fetch", self.fetch_seconds),
            ("decode", self.decode_seconds),
            ("device", self.device_seconds),
            ("write", self.write_seconds),
        ]
    }
}

impl Commit {
    /// Cost of the attempt.
    pub fn cost(&self) -> Cost {
        Cost { batch: self.batch, timings: self.timings }
    }

    /// An output whose path is not one that this attempt writes: such a path may lead anywhere.
    pub fn misnamed(&self) -> Option<&Output> {
        let is_own = |o: &&Output| {
            o.path == object_keys::output(&self.shard, &self.attempt, o.table)
                || o.table == Table::Pairs && o.path == object_keys::pairs_tar(&self.shard, &self.attempt)
        };
        let is_attempt = AttemptId::parse(&self.attempt.0).is_some();
        self.outputs.iter().find(|output| !is_attempt || !is_own(output))
    }

    /// Fault that forbids writing or using the record; `None` if its counts are consistent.
    pub fn fault(&self) -> Option<String> {
        let rows_of = |table| self.outputs.iter().find(|o| o.table == table).map(|o| o.rows);
        let is_twice = |table: &Table| self.outputs.iter().filter(|o| o.table == *table).count() > 1;
        if let Some(table) = Table::ALL.iter().find(|table| is_twice(table)) {
            return Some(format!("it names more than one {} table", table.as_str()));
        }
        if !self.tally.balances(self.rows) {
            let (rows, counted) = (self.rows, self.tally.rows_total());
            return Some(match rows == counted {
                true => format!(
                    "the tally accounts for {rows} rows, but its counts of texts or pairs contradict them"
                ),
                false => format!("the shard has {rows} rows, but the tally accounts for {counted}"),
            });
        }
        let expected = [
            (Table::Ledger, self.rows),
            (Table::Pairs, self.tally.pairs),
            (Table::Quarantine, self.tally.quarantined()),
        ];
        expected.into_iter().find(|(table, rows)| rows_of(*table).unwrap_or(0) != *rows).map(
            |(table, rows)| {
                format!(
                    "the {} table has {} rows, but the tally has {rows}",
                    table.as_str(),
                    rows_of(table).unwrap_or(0)
                )
            },
        )
    }
}
