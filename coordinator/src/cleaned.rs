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
    settings::Images,
};
use futures::{StreamExt as _, TryStreamExt as _};
use std::{collections::HashMap, pin::pin};

/// One version of a job's pairs.
#[derive(Debug, Clone, PartialEq)]
pub struct Cleaned {
    pub manifest: Manifest,
    /// In plan order; shards that kept nothing have none.
    pub tables: Vec<PairsTable>,
}

/// The pairs of one shard.
#[derive(Debug, Clone, PartialEq)]
pub struct PairsTable {
    pub shard: ShardId,
    pub object: Output,
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
    #[error(
        "the job at {url} keeps its images by reference (output.images), and here their bytes are needed: run it with \
         output.images = \"embed\""
    )]
    ByReference { url: String },
    #[error(transparent)]
    Job(#[from] JobError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

/// Opens the newest version of a job's pairs. Reads its records only: about one request per shard.
///
/// # Errors
/// When the job is not finished, its books are not in order, it holds no images, or the store fails.
pub async fn cleaned(bucket: &Bucket) -> Result<Cleaned, CleanedError> {
    let url = without_secrets(&bucket.place.url);
    let (record, plan) = job::load(bucket).await?;
    if record.settings.output.images != Images::Embed {
        return Err(CleanedError::ByReference { url });
    }
    let Some(manifest) = newest(bucket).await? else { return Err(CleanedError::Unfinished { url }) };
    let mut books = Books::default();
    let mut tables = Vec::new();
    let mut counted = pin!(counted(bucket, &plan, &manifest));
    while let Some(one) = counted.try_next().await? {
        books.add(&one);
        tables.extend(pairs_of(one.commit));
    }
    if books.digest() != manifest.digest {
        return Err(CleanedError::Differs { url, object: names::manifest(manifest.n) });
    }
    Ok(Cleaned { manifest, tables })
}

/// The commits that the manifest counts, in plan order.
fn counted<'a>(
    bucket: &'a Bucket,
    plan: &'a [Shard],
    manifest: &Manifest,
) -> impl futures::Stream<Item = Result<crate::commits::Counted, BucketError>> + 'a {
    let mut numbers: HashMap<ShardId, Option<u32>> =
        manifest.repaired.iter().map(|repaired| (repaired.shard.clone(), Some(repaired.n))).collect();
    numbers.extend(manifest.quarantined.iter().map(|shard| (shard.shard.clone(), None)));
    let number = move |shard: &'a Shard| Some((shard, numbers.get(&shard.id).copied().unwrap_or(Some(0))?));
    let read = move |(shard, n): (&'a Shard, u32)| async move {
        let name = names::commit(&shard.id, n);
        let bytes = bucket.read(&name).await?;
        Ok(crate::commits::Counted { n, sha256: sha256_hex(&bytes), commit: bucket.parse_record(&name, &bytes)? })
    };
    futures::stream::iter(plan.iter().filter_map(number)).map(read).buffered(RECORDS_AT_ONCE)
}

fn pairs_of(commit: Commit) -> Option<PairsTable> {
    let object = commit.outputs.into_iter().find(|output| output.table == Table::Pairs)?;
    let tally = &commit.tally;
    let (pairs, web, synthetic) = (tally.pairs, tally.web_kept, tally.synthetic_kept);
    (pairs > 0).then_some(PairsTable { shard: commit.shard, object, pairs, web, synthetic })
}
