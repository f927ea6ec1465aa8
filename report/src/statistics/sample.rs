//! Samples of rows: the best of a rank, or random ones that the seed and the address alone decide.

/// Place of a row in the tables of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Number of the shard among the committed shards, in plan order.
    pub shard: u32,
    /// Number of the row in the shard's ledger.
    pub offset: u64,
    /// Number of the row in the input file.
    pub row: u64,
    /// Number of the row in the shard's pairs; `None` for a row without a kept text.
    pub pair: Option<u64>,
}

/// A sampled row, or one of its texts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampled {
    /// Place of the row.
    pub place: Place,
    /// Number of the text in the row; `None` for the row as a whole.
    pub text: Option<u32>,
    /// Score for people: P(match), a difference, a length, a count.
    pub score: f64,
    /// The higher rank is sampled first.
    pub rank: f64,
    /// Of equal ranks, the lower priority is sampled first.
    pub priority: u64,
}

/// The first `size` of all added entries, by rank and priority. The order of adding does not matter. Memory:
/// 80 bytes per entry.
#[derive(Debug, Clone)]
pub struct Best {
    size: usize,
    entries: Vec<Sampled>,
}

impl Best {
    /// An empty sample.
    pub fn of(size: usize) -> Self {
        Self { size, entries: Vec::new() }
    }

    /// Adds an entry if it is among the first.
    pub fn add(&mut self, entry: Sampled) {
        let is_after = |kept: &Sampled| {
            kept.rank.total_cmp(&entry.rank).reverse().then(kept.priority.cmp(&entry.priority)).is_le()
        };
        if self.size == 0 || self.entries.len() == self.size && self.entries.last().is_some_and(is_after) {
            return;
        }
        let at = self.entries.partition_point(is_after);
        self.entries.insert(at, entry);
        self.entries.truncate(self.size);
    }

    /// Adds the entries of another sample.
    pub fn merge(&mut self, other: Self) {
        other.entries.into_iter().for_each(|entry| self.add(entry));
    }

    /// The entries, first ranks first.
    pub fn entries(&self) -> &[Sampled] {
        &self.entries
    }
}

/// Mixes 64 bits (the finaliser of SplitMix64).
pub fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(row: u64, rank: f64) -> Sampled {
        let place = Place { shard: 0, offset: row, row, pair: None };
        Sampled { place, text: None, score: rank, rank, priority: mixed(row) }
    }

    fn rows(best: &Best) -> Vec<u64> {
        best.entries().iter().map(|entry| entry.place.row).collect()
    }

    #[test]
    fn a_sample_does_not_depend_on_the_order_and_the_grouping_of_its_rows() {
        let (mut forth, mut back) = (Best::of(7), Best::of(7));
        (0..1000).for_each(|row| forth.add(entry(row, 0.0)));
        for group in (0..1000).rev().collect::<Vec<u64>>().chunks(13) {
            let mut part = Best::of(7);
            group.iter().for_each(|row| part.add(entry(*row, 0.0)));
            back.merge(part);
        }
        assert_eq!(rows(&forth), rows(&back));
        assert_eq!(rows(&forth).len(), 7);
    }

    #[test]
    fn the_highest_ranks_are_sampled_first() {
        let mut best = Best::of(3);
        [(1, 0.1), (2, 0.9), (3, -0.5), (4, 0.5)].iter().for_each(|(row, rank)| best.add(entry(*row, *rank)));
        assert_eq!(rows(&best), [2, 4, 1]);
    }
}
