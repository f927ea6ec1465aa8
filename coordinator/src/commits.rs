//! The commit records that count, in plan order.

use crate::standing::{RECORDS_AT_ONCE, Standing};
use bytes::Bytes;
use capfilt_bucket::{Bucket, BucketError};
use capfilt_schemas::{commit::Commit, hash::sha256_hex, names, plan::Shard};
use futures::{Stream, StreamExt as _};

/// A shard's result: the record and the digest of its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    pub n: u32,
    pub sha256: String,
    pub commit: Commit,
}

/// Reads the results of all committed shards of the plan, in its order. Memory: the records being read.
pub fn counted<'a>(
    bucket: &'a Bucket,
    plan: &'a [Shard],
    standing: &'a Standing,
) -> impl Stream<Item = Result<Counted, BucketError>> + 'a {
    let named = plan.iter().filter_map(|shard| Some((shard, *standing.committed.get(&shard.id)?)));
    let read = move |(shard, n): (&'a Shard, u32)| async move {
        let name = names::commit(&shard.id, n);
        let bytes: Bytes = bucket.read(&name).await?;
        Ok(Counted { n, sha256: sha256_hex(&bytes), commit: bucket.parse_record(&name, &bytes)? })
    };
    futures::stream::iter(named).map(read).buffered(RECORDS_AT_ONCE)
}
