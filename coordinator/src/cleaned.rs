//! A finished job as a data set: the pairs tables that its newest manifest names, and nothing else.
//!
//! Readers believe commits, and of these the ones the manifest counts: a retry that is under way changes nothing here
//! until it has written the next manifest.

use crate::{
    JobError, job,
    manifest::{Books, newest},
    standing::RECORDS_AT_ONCE,
};
use capfilt_bucket::{Bucket, BucketError, without_secrets};
use capfilt_schemas::{
    commit::{Commit, Output},
    hash::sha256_hex,
    manifest::Manifest,
    names::{self, Table},
    plan::{Shard, ShardId},
    settings::Settings,
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::{collections::HashMap, pin::pin};

/// One version of a job's pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaned {
    pub manifest: Manifest,
    /// The job's: with images by reference they say where the images are.
    pub settings: Settings,
    /// In plan order; shards that kept nothing have none.
    pub tables: Vec<PairsTable>,
}

/// The pairs of one shard.
#[derive(Debug, Clone, PartialEq)]
pub struct PairsTable {
    pub shard: Shard,
    pub object: Output,
    /// The shard's ledger, which has the cosines and the images' digests.
    pub ledger: Output,
    /// Images with at least one kept text: the table's rows.
    pub pairs: u64,
    /// Kept texts by where they come from.
    pub web: u64,
    pub synthetic: u64,
}

/// Why a job is no data set.
#[derive(Debug, thiserror::Error)]
pub enum CleanedError {
    #[error("the job at {url} has no manifest, so it is not finished: run it again, and use it when it is sealed")]
    Unfinished { url: String },
    #[error("{url}: {object} does not describe the commits it counts; `capfilt verify --job {url}` says what is wrong")]
    Differs { url: String, object: String },
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Opens the newest version of a job's pairs. Reads its records only: about one request per shard.
///
/// # Errors
/// When the job is not finished, its books are not in order, or the store fails.
pub async fn cleaned(bucket: &Bucket) -> Result<Cleaned, CleanedError> {
    let url = without_secrets(&bucket.place.url);
    let (record, plan) = job::load(bucket).await?;
    let Some(manifest) = newest(bucket).await? else { return Err(CleanedError::Unfinished { url }) };
    let mut books = Books::default();
    let mut tables = Vec::new();
    let mut counted = pin!(counted(bucket, &plan, &manifest));
    while let Some((shard, one)) = counted.try_next().await? {
        books.add(&one);
        tables.extend(pairs_of(shard, one.commit));
    }
    if books.digest() != manifest.digest {
        return Err(CleanedError::Differs { url, object: names::manifest(manifest.n) });
    }
    Ok(Cleaned { manifest, settings: record.settings, tables })
}

/// The commits that the manifest counts, in plan order.
fn counted<'a>(
    bucket: &'a Bucket,
    plan: &'a [Shard],
    manifest: &Manifest,
) -> impl futures::Stream<Item = Result<(&'a Shard, crate::commits::Counted), BucketError>> + 'a {
    let mut numbers: HashMap<ShardId, Option<u32>> =
        manifest.repaired.iter().map(|repaired| (repaired.shard.clone(), Some(repaired.n))).collect();
    numbers.extend(manifest.quarantined.iter().map(|shard| (shard.shard.clone(), None)));
    let number = move |shard: &'a Shard| Some((shard, numbers.get(&shard.id).copied().unwrap_or(Some(0))?));
    let read = move |(shard, n): (&'a Shard, u32)| async move {
        let name = names::commit(&shard.id, n);
        let bytes = bucket.read(&name).await?;
        let commit = bucket.parse_record(&name, &bytes)?;
        Ok((shard, crate::commits::Counted { n, sha256: sha256_hex(&bytes), commit }))
    };
    futures::stream::iter(plan.iter().filter_map(number)).map(read).buffered(RECORDS_AT_ONCE)
}

fn pairs_of(shard: &Shard, commit: Commit) -> Option<PairsTable> {
    let output = |table| commit.outputs.iter().find(|output| output.table == table).cloned();
    let (object, ledger) = (output(Table::Pairs)?, output(Table::Ledger)?);
    let tally = &commit.tally;
    let (pairs, web, synthetic) = (tally.pairs, tally.web_kept, tally.synthetic_kept);
    (pairs > 0).then(|| PairsTable { shard: shard.clone(), object, ledger, pairs, web, synthetic })
}
