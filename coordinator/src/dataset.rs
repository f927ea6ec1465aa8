//! A finished job as a data set: the pairs tables that its newest manifest counts, and no other object.
//!
//! A retry in progress changes nothing here until it has written the next manifest.

use crate::outputs::{OutputsError, Version, outputs};
use capfilt_schemas::{
    commit::{Commit, Output},
    manifest::Manifest,
    object_keys::Table,
    plan::Shard,
    settings::Settings,
};
use capfilt_store::{Location, without_secrets};

/// One version of a job's pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The manifest of the version.
    pub manifest: Manifest,
    /// Settings of the job. If images are stored by reference, the settings contain their location.
    pub settings: Settings,
    /// Pairs tables in plan order; a shard without a kept text has no table.
    pub tables: Vec<PairsTable>,
}

/// The pairs of one shard.
#[derive(Debug, Clone, PartialEq)]
pub struct PairsTable {
    /// Shard of the table.
    pub shard: Shard,
    /// Path, length and digest of the table.
    pub object: Output,
    /// The shard's ledger, with the cosines and the images' digests.
    pub ledger: Output,
    /// Images with at least one kept text, which is the number of rows of the table.
    pub pairs: u64,
    /// Kept texts of the input.
    pub web: u64,
    /// Kept captions.
    pub synthetic: u64,
}

/// Opens the newest version of a job's pairs. It reads only records: about one request per shard.
///
/// # Errors
/// An unfinished job, records that contradict each other, and a failing store.
pub async fn open(bucket: &Location) -> Result<Dataset, OutputsError> {
    let mut tables = Vec::new();
    let found =
        outputs(bucket, Version::Newest, |shard, one| tables.extend(pairs_of(shard, one.commit))).await?;
    let unfinished = || OutputsError::Unfinished { url: without_secrets(&bucket.url) };
    Ok(Dataset { manifest: found.manifest.ok_or_else(unfinished)?, settings: found.job.settings, tables })
}

fn pairs_of(shard: &Shard, commit: Commit) -> Option<PairsTable> {
    let output = |table| commit.outputs.iter().find(|output| output.table == table).cloned();
    let (object, ledger) = (output(Table::Pairs)?, output(Table::Ledger)?);
    let tally = &commit.tally;
    let (pairs, (web, synthetic)) = (tally.pairs, tally.kept());
    (pairs > 0).then(|| PairsTable { shard: shard.clone(), object, ledger, pairs, web, synthetic })
}
