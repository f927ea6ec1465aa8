//! Selects the commit records that a status reads: all of a small job; the newest and a random sample of a
//! large job.
//!
//! A record is one request, so 100,000 records take minutes. Facts that the listing lacks (kept shares,
//! speed, seconds per stage) are then estimated, and the status reports the number of records read.

use capfilt_schemas::{plan::ShardId, tally::Tally};
use capfilt_store::CommitEntry;
use std::{cmp::Reverse, collections::BTreeMap};

/// Number of newest commits to read; they determine the speed.
const NEWEST: usize = 1024;

/// Number of older commits sampled at random. With 1,024, the standard error of a kept share is about 1/32 of
/// the spread between shards.
const RANDOM: usize = 1024;

/// Commits to read, and the remaining ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// The newest commits, newest first.
    pub newest: Vec<(ShardId, CommitEntry)>,
    /// A random sample of the older commits.
    pub others: Vec<(ShardId, CommitEntry)>,
    /// Shards whose commits are not read.
    pub unread: Vec<ShardId>,
}

impl Sample {
    pub fn of(listed: &BTreeMap<ShardId, CommitEntry>) -> Self {
        let mut newest: Vec<(ShardId, CommitEntry)> =
            listed.iter().map(|(shard, listed)| (shard.clone(), *listed)).collect();
        newest.sort_by_key(|(_, listed)| Reverse(listed.written_ms));
        let mut others = newest.split_off(newest.len().min(NEWEST));
        // A shard's id is a digest, so the first ids are a random sample, and nearly the same one at the next
        // reading.
        others.sort_by(|(a, _), (b, _)| a.cmp(b));
        let unread = others.split_off(others.len().min(RANDOM));
        Self { newest, others, unread: unread.into_iter().map(|(shard, _)| shard).collect() }
    }

    pub fn read(&self) -> impl Iterator<Item = &(ShardId, CommitEntry)> {
        self.newest.iter().chain(&self.others)
    }

    /// Tally of all commits: the tally of the newest ones, plus that of the sampled ones, extrapolated to
    /// `rows_unread` more rows. Exact if every commit was read.
    pub fn estimate(newest: Tally, others: Tally, rows_unread: u64) -> Tally {
        let rows = others.rows_total();
        let scale = if rows == 0 { 1.0 } else { (rows + rows_unread) as f64 / rows as f64 };
        let mut all = others.scaled(scale);
        all.merge(&newest);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::status::RowStatus;

    fn listed(commits: u32) -> BTreeMap<ShardId, CommitEntry> {
        let commit = |i| (ShardId::of("a", "1", i..i + 1), CommitEntry { n: 0, written_ms: i64::from(i) });
        (0..commits).map(commit).collect()
    }

    #[test]
    fn a_small_job_is_read_whole_and_a_large_one_in_part_the_newest_always() {
        let small = Sample::of(&listed(2048));
        assert_eq!((small.read().count(), small.unread.len()), (2048, 0));
        let large = Sample::of(&listed(100_000));
        assert_eq!((large.read().count(), large.unread.len()), (2048, 97_952));
        assert!(large.newest.iter().all(|(_, listed)| listed.written_ms >= 100_000 - 1024));
        let mean = large.others.iter().map(|(_, listed)| listed.written_ms as f64).sum::<f64>() / 1024.0;
        assert!((45_000.0..55_000.0).contains(&mean), "the sample is from all times: {mean}");
    }

    #[test]
    fn what_was_not_read_is_taken_to_be_like_the_sample_and_nothing_is_added_when_all_was_read() {
        let tally = |judged| Tally {
            rows: [(RowStatus::Judged, judged)].into(),
            pairs: judged / 2,
            ..Tally::default()
        };
        let all = Sample::estimate(tally(100), tally(50), 950);
        assert_eq!((all.judged(), all.pairs), (1100, 50 + 25 * 20));
        let exact = Sample::estimate(tally(100), tally(50), 0);
        assert_eq!((exact.judged(), exact.pairs), (150, 75));
        assert_eq!(Sample::estimate(tally(7), Tally::default(), 0), tally(7));
    }
}
