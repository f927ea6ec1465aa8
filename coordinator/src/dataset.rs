//! A finished job as a data set: the pairs tables that its newest manifest counts, or those of a cut, and no
//! other object.
//!
//! A retry in progress changes nothing here until it has written the next manifest.

use crate::{
    cuts::StoredCut,
    outputs::{OutputsError, Version, outputs},
};
use capfilt_schemas::{
    commit::{Commit, Output},
    cut::{CutName, Rules},
    manifest::Manifest,
    object_keys::Table,
    plan::Shard,
    settings::{Images, Settings},
    tally::Tally,
};
use capfilt_store::{Location, without_secrets};

/// One version of a job's pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// The manifest of the version.
    pub manifest: Manifest,
    /// Settings of the job. If images are stored by reference, the settings contain their location.
    pub settings: Settings,
    /// The cut of the version; `None` for the job's own pairs.
    pub cut: Option<DatasetCut>,
    /// Pairs tables in plan order; a shard without a kept text has no table.
    pub tables: Vec<PairsTable>,
}

/// A cut, without its tables.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetCut {
    /// Name of the cut.
    pub name: CutName,
    /// SHA-256 of the record of the cut.
    pub sha256: String,
    /// Rules of the cut.
    pub rules: Rules,
    /// Whether the tables have the images.
    pub images: Images,
    /// Counts of the cut.
    pub tally: Tally,
}

impl Dataset {
    /// Whether the tables have the images.
    pub fn images(&self) -> Images {
        self.cut.as_ref().map_or(self.settings.output.images, |cut| cut.images)
    }

    /// Counts of the version.
    pub fn tally(&self) -> &Tally {
        self.cut.as_ref().map_or(&self.manifest.tally, |cut| &cut.tally)
    }
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

/// Opens the newest version of a job's pairs, or a cut. It reads only records: about one request per shard.
///
/// # Errors
/// An unfinished job, a missing cut, records that contradict each other, and a failing store.
pub async fn open(bucket: &Location, cut: Option<&CutName>) -> Result<Dataset, OutputsError> {
    let mut tables = Vec::new();
    let version = cut.cloned().map_or(Version::Newest, Version::Cut);
    let found = outputs(bucket, version, |shard, one| tables.extend(pairs_of(shard, one.commit))).await?;
    let unfinished = || OutputsError::Unfinished { url: without_secrets(&bucket.url) };
    let (manifest, settings) = (found.manifest.ok_or_else(unfinished)?, found.job.settings);
    let cut = found.cut.map(|StoredCut { record, sha256 }| DatasetCut {
        name: record.name,
        sha256,
        rules: record.rules,
        images: record.images,
        tally: record.tally,
    });
    Ok(Dataset { manifest, settings, cut, tables })
}

fn pairs_of(shard: &Shard, commit: Commit) -> Option<PairsTable> {
    let output = |table| commit.outputs.iter().find(|output| output.table == table).cloned();
    let (object, ledger) = (output(Table::Pairs)?, output(Table::Ledger)?);
    let tally = &commit.tally;
    let (pairs, (web, synthetic)) = (tally.pairs, tally.kept());
    (pairs > 0).then(|| PairsTable { shard: shard.clone(), object, ledger, pairs, web, synthetic })
}
