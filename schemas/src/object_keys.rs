//! Names of all objects below a job's URL. Only this module builds such names.
//!
//! ```text
//! job.json                                          create-only, one per job
//! plan-<digest>.parquet                             all shards; its digest is in job.json
//! known-answers.json                                create-only; the self-test of worker processes
//! attempts/<shard>/<attempt>/{ledger,pairs,quarantine}.parquet
//! attempts/<shard>/<attempt>/pairs.tar              instead of pairs.parquet (output.format = "webdataset")
//! commits/<shard>/<n>.json                          create-only; the highest n is the shard's result
//! failures/<shard>/<attempt>.json
//! retries/<n>.json                                  create-only: shards and rows to execute again
//! controls/<n>.json                                 create-only: pause, resume, drain; the highest n counts
//! manifests/<n>.json                                create-only, written last
//! cuts/<name>/<attempt>/<shard>.{parquet,tar}       pairs of a cut
//! cuts/<name>.json                                  create-only, written after the tables of the cut
//! probes/<attempt>.txt                              written and removed by `capfilt check`
//! ```

use crate::{cut_name::CutName, plan::ShardId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Name of the job record.
pub const JOB: &str = "job.json";
/// Name of the known answers of the self-test.
pub const KNOWN_ANSWERS: &str = "known-answers.json";
/// Folder of the commits.
pub const COMMITS: &str = "commits";
/// Folder of the attempts' tables.
pub const ATTEMPTS: &str = "attempts";
/// Folder of the failure records.
pub const FAILURES: &str = "failures";
/// Folder of the manifests.
pub const MANIFESTS: &str = "manifests";
/// Folder of the retry records.
pub const RETRIES: &str = "retries";
/// Folder of the cuts.
pub const CUTS: &str = "cuts";
/// Folder of the control records.
pub const CONTROLS: &str = "controls";
/// Folder of the objects that test a bucket.
pub const PROBES: &str = "probes";

/// Identity of one attempt at one shard. No two attempts share an id, on any machine, so no object is written
/// twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub String);

impl AttemptId {
    /// An id from 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// Parses an id; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        is_hex(text, 32).then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Tables of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// One row per input row.
    Ledger,
    /// One row per image with a kept text.
    Pairs,
    /// One row per input row that could not be processed.
    Quarantine,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 3] = [Self::Ledger, Self::Pairs, Self::Quarantine];

    /// Name in records and object names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Pairs => "pairs",
            Self::Quarantine => "quarantine",
        }
    }
}

/// Name of a plan. It contains the start of the plan's digest, so that the plan of a planner that died cannot
/// be mistaken for another.
pub fn plan(sha256_hex: &str) -> String {
    format!("plan-{}.parquet", &sha256_hex[..16])
}

/// Whether an object is a plan, of this job or of a planner that lost the race.
pub fn is_plan(name: &str) -> bool {
    name.strip_prefix("plan-").and_then(|rest| rest.strip_suffix(".parquet")).is_some_and(|id| is_hex(id, 16))
}

/// Whether a text consists of exactly `digits` lower-case hexadecimal digits, as in ids.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Name of an attempt's table.
pub fn output(shard: &ShardId, attempt: &AttemptId, table: Table) -> String {
    format!("{ATTEMPTS}/{shard}/{attempt}/{}.parquet", table.as_str())
}

/// End of the name of a table.
pub const PARQUET: &str = ".parquet";

/// End of the name of pairs that are samples of a tar.
pub const TAR: &str = ".tar";

/// Name of an attempt's pairs, without the extension of the format.
pub fn pairs(shard: &ShardId, attempt: &AttemptId) -> String {
    format!("{ATTEMPTS}/{shard}/{attempt}/{}", Table::Pairs.as_str())
}

/// Name of an attempt's pairs that are samples of a tar.
pub fn pairs_tar(shard: &ShardId, attempt: &AttemptId) -> String {
    pairs(shard, attempt) + TAR
}

/// Name of commit `n` of a shard.
pub fn commit(shard: &ShardId, n: u32) -> String {
    format!("{COMMITS}/{shard}/{n}.json")
}

/// Shard and number of a commit's name; `None` for any other name.
pub fn parse_commit(name: &str) -> Option<(ShardId, u32)> {
    let (shard, n) = name.strip_prefix(COMMITS)?.strip_prefix('/')?.strip_suffix(".json")?.split_once('/')?;
    Some((ShardId::parse(shard)?, parse_number(n)?))
}

/// A number in its canonical form: `00` and `+0` are copies of `0`, not the same name.
fn parse_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|n: &u32| n.to_string() == text)
}

/// Name of the failure record of an attempt.
pub fn failure(shard: &ShardId, attempt: &AttemptId) -> String {
    format!("{FAILURES}/{shard}/{attempt}.json")
}

/// Shard and attempt of a failure's name.
pub fn parse_failure(name: &str) -> Option<(ShardId, AttemptId)> {
    let (shard, attempt) =
        name.strip_prefix(FAILURES)?.strip_prefix('/')?.strip_suffix(".json")?.split_once('/')?;
    Some((ShardId::parse(shard)?, AttemptId::parse(attempt)?))
}

/// Name of retry record `n`.
pub fn retry(n: u32) -> String {
    format!("{RETRIES}/{n}.json")
}

/// Number of a retry's name; `None` for any other name.
pub fn parse_retry(name: &str) -> Option<u32> {
    name.strip_prefix(RETRIES)?.strip_prefix('/')?.strip_suffix(".json").and_then(parse_number)
}

/// Name of control record `n`.
pub fn control(n: u32) -> String {
    format!("{CONTROLS}/{n}.json")
}

/// Number of a control's name; `None` for any other name.
pub fn parse_control(name: &str) -> Option<u32> {
    name.strip_prefix(CONTROLS)?.strip_prefix('/')?.strip_suffix(".json").and_then(parse_number)
}

/// Shard and attempt of an output's name; `None` for any other name.
pub fn parse_output(name: &str) -> Option<(ShardId, AttemptId)> {
    let mut parts = name.strip_prefix(ATTEMPTS)?.strip_prefix('/')?.splitn(3, '/');
    let (shard, attempt) = (ShardId::parse(parts.next()?)?, AttemptId::parse(parts.next()?)?);
    let is_named = |table: &Table| *name == output(&shard, &attempt, *table);
    let is_table = Table::ALL.iter().any(is_named) || *name == pairs_tar(&shard, &attempt);
    is_table.then_some((shard, attempt))
}

/// Name of manifest `n`.
pub fn manifest(n: u32) -> String {
    format!("{MANIFESTS}/{n}.json")
}

/// Number of a manifest's name; `None` for any other name.
pub fn parse_manifest(name: &str) -> Option<u32> {
    name.strip_prefix(MANIFESTS)?.strip_prefix('/')?.strip_suffix(".json").and_then(parse_number)
}

/// Name of the record of a cut.
pub fn cut(name: &CutName) -> String {
    format!("{CUTS}/{name}.json")
}

/// Name of the cut of a record's name; `None` for any other name.
pub fn parse_cut(name: &str) -> Option<CutName> {
    name.strip_prefix(CUTS)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()
}

/// Name of the pairs that a shard gives to a cut, without the extension of the format.
pub fn cut_pairs(name: &CutName, attempt: &AttemptId, shard: &ShardId) -> String {
    format!("{CUTS}/{name}/{attempt}/{shard}")
}

/// Cut and attempt of the name of a cut's pairs; `None` for any other name.
pub fn parse_cut_pairs(name: &str) -> Option<(CutName, AttemptId)> {
    let (cut, rest) = name.strip_prefix(CUTS)?.strip_prefix('/')?.split_once('/')?;
    let (attempt, file) = rest.split_once('/')?;
    let shard = file.strip_suffix(PARQUET).or_else(|| file.strip_suffix(TAR))?;
    ShardId::parse(shard)?;
    Some((cut.parse().ok()?, AttemptId::parse(attempt)?))
}

/// Object for testing a bucket.
pub fn probe(nonce: &AttemptId) -> String {
    format!("{PROBES}/{nonce}.txt")
}

/// Whether an object is a probe that `capfilt check` wrote.
pub fn is_probe(name: &str) -> bool {
    let nonce = name.strip_prefix(PROBES).and_then(|rest| rest.strip_prefix('/')?.strip_suffix(".txt"));
    nonce.and_then(AttemptId::parse).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_as_what_it_names() {
        let shard = ShardId::of("web/a.parquet", "etag", 0..2);
        let attempt = AttemptId::from_random(7);
        assert_eq!(parse_commit(&commit(&shard, 12)), Some((shard.clone(), 12)));
        assert_eq!(
            parse_output(&output(&shard, &attempt, Table::Pairs)),
            Some((shard.clone(), attempt.clone()))
        );
        assert_eq!(parse_output(&pairs_tar(&shard, &attempt)), Some((shard.clone(), attempt.clone())));
        assert_eq!(parse_failure(&failure(&shard, &attempt)), Some((shard, attempt)));
        assert_eq!(parse_retry(&retry(4)), Some(4));
        let cut_name: CutName = "strict".parse().unwrap();
        assert_eq!(parse_cut(&cut(&cut_name)), Some(cut_name.clone()));
        let (attempt, other) = (AttemptId::from_random(7), ShardId::of("web/b.parquet", "etag", 0..2));
        for extension in [PARQUET, TAR] {
            let name = cut_pairs(&cut_name, &attempt, &other) + extension;
            assert_eq!(parse_cut_pairs(&name), Some((cut_name.clone(), attempt.clone())));
        }
        assert_eq!(parse_control(&control(5)), Some(5));
        assert_eq!(parse_manifest(&manifest(3)), Some(3));
        assert!(is_plan(&plan(&"0a".repeat(32))) && is_probe(&probe(&AttemptId::from_random(7))));
    }

    #[test]
    fn a_name_that_the_program_does_not_write_is_not_parsed() {
        let shard = ShardId::of("web/a.parquet", "etag", 0..2);
        let attempt = AttemptId::from_random(7);
        assert_eq!(parse_commit("commits/other notes.txt"), None);
        assert_eq!(parse_commit(&format!("commits/{shard}/00.json")), None);
        assert_eq!(parse_commit(&format!("commits/{shard}/+1.json")), None);
        assert_eq!(parse_failure(&format!("failures/{shard}/x.json")), None);
        assert_eq!(parse_output(&format!("attempts/{shard}/{attempt}/notes.parquet")), None);
        assert_eq!(parse_output(&format!("attempts/{shard}/{attempt}/ledger.tar")), None);
        assert_eq!(parse_output(&format!("attempts/{shard}/{attempt}/x/pairs.parquet")), None);
        assert_eq!(parse_output(&format!("attempts/{shard}/x/pairs.parquet")), None);
        assert_eq!(parse_manifest("manifests/01.json"), None);
        assert_eq!(parse_cut("cuts/a/b.json"), None);
        assert_eq!(parse_cut_pairs(&format!("cuts/a/{attempt}/notes.parquet")), None);
        assert!(
            !is_plan("plan-b.parquet")
                && !is_plan("plan-2024-01-01.parquet")
                && !is_probe("probes/thesis.txt")
        );
    }
}
