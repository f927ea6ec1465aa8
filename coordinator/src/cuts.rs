//! Records of a job's cuts.

use capfilt_schemas::{
    commit::{Commit, Output},
    cut::{CutName, CutRecord, CutShard},
    hash::sha256_hex,
    job::JobDigest,
    object_keys::{self, AttemptId, Table},
    plan::ShardId,
    tally::Tally,
};
use capfilt_store::{Location, PutOutcome, StoreError, foreign, strays, without_secrets};
use futures::TryStreamExt as _;
use object_store::ObjectMeta;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A stored cut.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredCut {
    /// The record.
    pub record: CutRecord,
    /// SHA-256 of the bytes of the record: it identifies the content of the cut.
    pub sha256: String,
}

/// Reason why the record of a cut cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum CutsError {
    #[error("the job at {url} has no cut {name}; it has {}", listed(.names))]
    NoSuchCut { url: String, name: CutName, names: BTreeSet<CutName> },
    #[error(transparent)]
    Location(#[from] StoreError),
}

/// Names or numbers, as a list for people.
pub(crate) fn listed(names: &BTreeSet<impl ToString>) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    if names.is_empty() { "none yet".to_owned() } else { names.join(", ") }
}

/// The part of a cut that one shard gives, without the name of the shard.
pub(crate) struct Replacement {
    tally: Tally,
    pairs: Option<Output>,
}

impl Replacement {
    /// Replaces the pairs and the tally of a commit.
    pub fn replace(self, commit: &mut Commit) {
        commit.outputs.retain(|output| output.table != Table::Pairs);
        commit.outputs.extend(self.pairs);
        commit.tally = self.tally;
    }
}

impl StoredCut {
    /// Moves the shards out of the record, so that the memory has them once.
    pub(crate) fn take_shards(&mut self) -> HashMap<ShardId, Replacement> {
        let part = |CutShard { shard, tally, pairs }| (shard, Replacement { tally, pairs });
        std::mem::take(&mut self.record.shards).into_iter().map(part).collect()
    }
}

/// Reads the record of a cut.
///
/// # Errors
/// There is no cut of this name, the record is damaged or of another job, or the store fails.
pub async fn read(
    bucket: &Location,
    name: &CutName,
    job: Option<&JobDigest>,
) -> Result<StoredCut, CutsError> {
    let object = object_keys::cut(name);
    let Some(bytes) = bucket.read_if_there(&object).await? else {
        let (url, name) = (without_secrets(&bucket.url), name.clone());
        return Err(CutsError::NoSuchCut { url, name, names: names(bucket).await? });
    };
    let record: CutRecord = bucket.parse_record(&object, &bytes)?;
    if let Some(why) = job.and_then(|job| job.foreign(Some(&record.job))) {
        return Err(StoreError::Refused(foreign(&bucket.url_of(&object), &why)).into());
    }
    if record.name != *name {
        let original = object_keys::cut(&record.name);
        let copied = format!("{}: it is a copy of {original}; delete it", bucket.url_of(&object));
        return Err(StoreError::Refused(copied).into());
    }
    Ok(StoredCut { record, sha256: sha256_hex(&bytes) })
}

/// Names of the cuts of a job, in alphabetical order.
///
/// # Errors
/// The store fails.
pub async fn names(bucket: &Location) -> Result<BTreeSet<CutName>, StoreError> {
    let mut names = BTreeSet::new();
    let mut listed = bucket.list(object_keys::CUTS);
    while let Some((name, _)) = listed.try_next().await? {
        names.extend(object_keys::parse_cut(&name));
    }
    Ok(names)
}

/// Creates the record of a cut, whose tables are stored.
///
/// # Errors
/// The store fails. `Ok(Exists)` if another process created a cut of the name first.
pub async fn create(bucket: &Location, record: &CutRecord) -> Result<PutOutcome, StoreError> {
    bucket.create_record(&object_keys::cut(&record.name), record).await
}

/// Tables of cuts that no record names. Tables whose cut has no record may be of a process that writes them.
pub(crate) struct Orphans {
    /// Names and sizes of the tables of attempts that lost against another attempt.
    pub garbage: Vec<(String, u64)>,
    /// Number of tables whose cut has no record yet.
    pub maybe_running: u64,
}

/// Finds the tables of cuts that no record names.
pub(crate) async fn orphans(bucket: &Location) -> Result<Orphans, StoreError> {
    let mut tables: BTreeMap<CutName, Vec<(AttemptId, String, ObjectMeta)>> = BTreeMap::new();
    let mut recorded = BTreeSet::new();
    let mut listed = bucket.list(object_keys::CUTS);
    while let Some((name, meta)) = listed.try_next().await? {
        if let Some((cut, attempt)) = object_keys::parse_cut_pairs(&name) {
            tables.entry(cut).or_default().push((attempt, name, meta));
        } else {
            recorded.extend(object_keys::parse_cut(&name));
        }
    }
    let mut orphans = Orphans { garbage: Vec::new(), maybe_running: 0 };
    for (cut, tables) in tables {
        if !recorded.contains(&cut) {
            orphans.maybe_running += tables.len() as u64;
            continue;
        }
        let name = object_keys::cut(&cut);
        // A damaged record, or one of another job, is not a reason to delete tables.
        let Some(record) = strays::read::<CutRecord>(bucket, &name, |_| None).await? else { continue };
        let named: BTreeSet<&str> =
            record.shards.iter().filter_map(|one| Some(one.pairs.as_ref()?.path.as_str())).collect();
        let unnamed = tables.into_iter().filter(|(_, name, _)| !named.contains(name.as_str()));
        orphans.garbage.extend(unnamed.map(|(_, name, meta)| (name, meta.size)));
    }
    Ok(orphans)
}
