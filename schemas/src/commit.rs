//! The commit: the one small create-only record that makes an attempt the shard's result.

use crate::{
    job::JobDigest,
    names::{self, AttemptId, Table},
    plan::ShardId,
    record::Record,
    tally::Tally,
};
use serde::{Deserialize, Serialize};

/// Version of the commit record.
pub const VERSION: u32 = 1;

/// `commits/<shard>/<n>.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    pub version: u32,
    pub shard: ShardId,
    pub n: u32,
    /// Also the nonce that tells "I won, and the answer was lost" from "someone else won".
    pub attempt: AttemptId,
    pub worker: String,
    pub rows: u64,
    pub tally: Tally,
    pub outputs: Vec<Output>,
    /// Images per model call.
    pub batch: u32,
    pub timings: Timings,
    /// The job it belongs to; `None` in records that are older than this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobDigest>,
}

impl Record for Commit {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "commit";
}

/// One object an attempt wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    pub table: Table,
    /// Path below the job's URL.
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
    pub rows: u64,
}

/// Where a shard's time went. Stages overlap, so they add up to more than `total_seconds`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    pub fetch_seconds: f64,
    pub decode_seconds: f64,
    pub device_seconds: f64,
    pub write_seconds: f64,
    pub total_seconds: f64,
}

/// What an attempt took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Images per model call at its end.
    pub batch: u32,
    pub timings: Timings,
}

impl Timings {
    pub fn merge(&mut self, other: &Self) {
        self.fetch_seconds += other.fetch_seconds;
        self.decode_seconds += other.decode_seconds;
        self.device_seconds += other.device_seconds;
        self.write_seconds += other.write_seconds;
        self.total_seconds += other.total_seconds;
    }

    /// The stages' names and seconds, in the order of the work.
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
    pub fn cost(&self) -> Cost {
        Cost { batch: self.batch, timings: self.timings }
    }

    /// An object it names that no attempt at its shard writes: it may lie anywhere.
    pub fn misnamed(&self) -> Option<&Output> {
        let is_own = |o: &&Output| o.path == names::output(&self.shard, &self.attempt, o.table);
        let is_attempt = AttemptId::parse(&self.attempt.0).is_some();
        self.outputs.iter().find(|output| !is_attempt || !is_own(output))
    }

    /// Why this record may not be written or believed; `None` when its books are in order.
    pub fn fault(&self) -> Option<String> {
        let rows_of = |table| self.outputs.iter().find(|o| o.table == table).map(|o| o.rows);
        let is_twice = |table: &Table| self.outputs.iter().filter(|o| o.table == *table).count() > 1;
        if let Some(table) = Table::ALL.iter().find(|table| is_twice(table)) {
            return Some(format!("it names more than one {} table", table.as_str()));
        }
        if !self.tally.balances(self.rows) {
            return Some(format!(
                "{} rows in, but the tally accounts for {}",
                self.rows,
                self.tally.rows_total()
            ));
        }
        let expected = [
            (Table::Ledger, self.rows),
            (Table::Pairs, self.tally.pairs),
            (Table::Quarantine, self.tally.quarantined()),
        ];
        expected.into_iter().find(|(table, rows)| rows_of(*table).unwrap_or(0) != *rows).map(
            |(table, rows)| {
                format!(
                    "the {} table has {} rows where the tally says {rows}",
                    table.as_str(),
                    rows_of(table).unwrap_or(0)
                )
            },
        )
    }
}
