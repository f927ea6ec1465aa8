//! The most frequent texts, in bounded memory.

use super::{
    distinct::Mixed,
    sample::{Place, Sampled},
};

/// Most texts that are counted at once; a table of this size takes at most 150 MB.
const TEXTS: usize = 1 << 20;

/// First row of a text, and the number of its occurrences.
#[derive(Debug, Clone, Copy)]
struct Seen {
    first: Place,
    text: u32,
    times: u64,
}

/// Counts occurrences of texts by their hash. When the table is full, the texts that occur only once are
/// dropped, then those that occur twice, and so on (lossy counting, Manku and Motwani 2002): the count of a
/// frequent text is at most [`Frequent::missed`] too low. Memory: 150 MB.
#[derive(Debug, Clone, Default)]
pub struct Frequent {
    texts: Mixed<Seen>,
    missed: u64,
}

impl Frequent {
    /// Counts a text by its hash.
    pub fn add(&mut self, hash: u64, place: Place, text: u32) {
        self.count(hash, Seen { first: place, text, times: 1 });
    }

    fn count(&mut self, hash: u64, seen: Seen) {
        let known = self.texts.entry(hash).or_insert(Seen { times: 0, ..seen });
        known.times += seen.times;
        if (seen.first, seen.text) < (known.first, known.text) {
            (known.first, known.text) = (seen.first, seen.text);
        }
        let mut least = 1;
        while self.texts.len() > TEXTS {
            self.texts.retain(|_, seen| seen.times > least);
            self.missed = self.missed.saturating_add(least);
            least += 1;
        }
    }

    /// Adds the counts of other texts.
    pub fn merge(&mut self, other: Self) {
        self.missed += other.missed;
        other.texts.into_iter().for_each(|(hash, seen)| self.count(hash, seen));
    }

    /// Most occurrences that a count may lack; 0: the counts are exact.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The texts that occur most often, and at least twice.
    pub fn most(&self, number: usize) -> Vec<Sampled> {
        let mut most: Vec<&Seen> = self.texts.values().filter(|seen| seen.times > 1).collect();
        most.sort_by_key(|seen| (std::cmp::Reverse(seen.times), seen.first, seen.text));
        let sampled = |seen: &Seen| Sampled {
            place: seen.first,
            text: Some(seen.text),
            score: seen.times as f64,
            rank: seen.times as f64,
            priority: 0,
        };
        most.into_iter().take(number).map(sampled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_texts_are_found_among_many_single_ones() {
        let place = |row| Place { shard: 0, offset: row, row, pair: None };
        let mut frequent = Frequent::default();
        for row in 0..TEXTS as u64 + 1000 {
            frequent.add(super::super::sample::mixed(row), place(row), 0);
            if row % 1000 == 0 {
                frequent.add(row % 3000, place(row), 1);
            }
        }
        let found: Vec<(u64, f64)> = frequent.most(5).iter().map(|one| (one.place.row, one.score)).collect();
        let rows: Vec<u64> = found.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [0, 1000, 2000]);
        let times = (TEXTS as f64 + 1000.0) / 3000.0;
        assert!(found.iter().all(|(_, found)| (found - times).abs() <= 1.0 + frequent.missed() as f64));
        assert!(frequent.missed() > 0 && frequent.texts.len() <= TEXTS);
    }
}
