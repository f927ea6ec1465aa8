//! Numbers of distinct values and of repeated ones, in bounded memory.

use super::sample::mixed;
use serde::Serialize;
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// Most values that are counted at once; a table of this size takes at most 36 MB.
const VALUES: usize = 1 << 20;

/// A map of values that are mixed already.
pub(super) type Mixed<T> = HashMap<u64, T, BuildHasherDefault<AsIs>>;

/// The hash of a mixed number is the number.
#[derive(Debug, Clone, Copy, Default)]
pub struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = mixed(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Repetitions of a value, such as an image's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repeated {
    /// Rows with a value.
    pub rows: u64,
    /// Distinct values.
    pub distinct: u64,
    /// Values that more than one row has.
    pub repeated: u64,
    /// Most rows that have one value.
    pub most_rows: u64,
    /// Whether all numbers but `rows` are estimates: there are more than about a million distinct values, and
    /// the numbers are those of every 2nd, 4th, 8th … value by its hash, multiplied. `most_rows` is then that
    /// of the counted values.
    pub is_estimate: bool,
}

/// Counts rows per value. With more than 2^20 distinct values, it continues with every second value by its
/// hash, then with every fourth, and so on (adaptive sampling, Flajolet 1990). Memory: 36 MB.
#[derive(Debug, Clone, Default)]
pub struct Distinct {
    rows: u64,
    /// Values whose hashes have this number of zeros at the end are counted.
    zeros: u32,
    counts: Mixed<u32>,
}

impl Distinct {
    /// Counts a row with a value; equal values have equal bits.
    pub fn add(&mut self, bits: u64) {
        self.rows += 1;
        self.count(mixed(bits), 1);
    }

    fn count(&mut self, hash: u64, rows: u32) {
        if hash.trailing_zeros() < self.zeros {
            return;
        }
        let count = self.counts.entry(hash).or_default();
        *count = count.saturating_add(rows);
        while self.counts.len() > VALUES {
            self.thin(self.zeros + 1);
        }
    }

    fn thin(&mut self, zeros: u32) {
        self.zeros = zeros;
        self.counts.retain(|hash, _| hash.trailing_zeros() >= zeros);
    }

    /// Adds the counts of other rows.
    pub fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        if other.zeros > self.zeros {
            self.thin(other.zeros);
        }
        other.counts.into_iter().for_each(|(hash, rows)| self.count(hash, rows));
    }

    /// The numbers of all rows so far.
    pub fn repeated(&self) -> Repeated {
        let scaled = |n: usize| (n as u64) << self.zeros;
        Repeated {
            rows: self.rows,
            distinct: scaled(self.counts.len()),
            repeated: scaled(self.counts.values().filter(|rows| **rows > 1).count()),
            most_rows: self.counts.values().copied().max().unwrap_or(0).into(),
            is_estimate: self.zeros > 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_are_counted_exactly_in_any_grouping() {
        let mut all = Distinct::default();
        for part in 0..10u64 {
            let mut one = Distinct::default();
            (0..100).for_each(|value| one.add(value * (part % 2)));
            all.merge(one);
        }
        let found = all.repeated();
        assert_eq!((found.rows, found.distinct, found.repeated, found.is_estimate), (1000, 100, 100, false));
        assert_eq!(found.most_rows, 5 * 100 + 5, "the value 0");
    }

    #[test]
    fn many_values_are_estimated_within_a_per_cent() {
        let mut all = Distinct::default();
        let values = 3 * VALUES as u64;
        (0..values).for_each(|value| all.add(value));
        (0..values / 4).for_each(|value| all.add(value));
        let found = all.repeated();
        assert!(found.is_estimate && all.counts.len() <= VALUES);
        let is_near = |found: u64, of: u64| found.abs_diff(of) < of / 100;
        assert!(is_near(found.distinct, values) && is_near(found.repeated, values / 4), "{found:?}");
        assert_eq!(found.rows, values + values / 4);
    }
}
