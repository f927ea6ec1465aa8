//! Thresholds from ranks: the score that a number of texts, or of negative controls, reach.
//!
//! Exact and in fixed memory: two passes over the scores. The first counts scores by their upper bits, the
//! second counts those of one bucket by their lower bits. The bits of floats from 0 to 1 have the order of
//! the numbers.

use super::texts;
use arrow::{
    array::{Array as _, AsArray as _, RecordBatch},
    datatypes::Float32Type,
};

/// Lower bits of a score, which the second pass counts.
const LOW: u32 = 14;

/// Buckets of the first pass: the upper bits of 0 to 1, and one for all larger numbers and NaN.
const BUCKETS: usize = (1f32.to_bits() >> LOW) as usize + 1;

/// Which scores a threshold is chosen from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tail {
    /// P(match) of the texts of a source.
    Source(String),
    /// P(match) of the negative control.
    Control,
}

impl Tail {
    /// Source of the texts; `None` of the control.
    fn source(&self) -> Option<&str> {
        match self {
            Self::Source(source) => Some(source),
            Self::Control => None,
        }
    }

    fn of(source: Option<&str>) -> Self {
        source.map_or(Self::Control, |source| Self::Source(source.to_owned()))
    }
}

/// Counts of the first pass. Memory: 520 kB per source, and for the control. A job has a few sources, so they
/// are found by comparison.
#[derive(Debug, Clone, Default)]
pub struct Scores(Vec<(Tail, Vec<u64>)>);

impl Scores {
    /// Counts the scores of a ledger's batch.
    pub fn add(&mut self, batch: &RecordBatch) {
        each_score(batch, |source, itm| {
            let at = self.0.iter().position(|(tail, _)| tail.source() == source).unwrap_or_else(|| {
                self.0.push((Tail::of(source), vec![0; BUCKETS]));
                self.0.len() - 1
            });
            self.0[at].1[bucket(itm)] += 1;
        });
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: Self) {
        for (tail, counts) in other.0 {
            match self.0.iter_mut().find(|(known, _)| *known == tail) {
                Some((_, sum)) => sum.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n),
                None => self.0.push((tail, counts)),
            }
        }
    }

    /// Number of scores.
    pub fn count(&self, tail: &Tail) -> u64 {
        self.counts(tail).map_or(0, |counts| counts.iter().sum())
    }

    fn counts(&self, tail: &Tail) -> Option<&Vec<u64>> {
        self.0.iter().find(|(known, _)| known == tail).map(|(_, counts)| counts)
    }

    /// The bucket of the score with a rank, from the highest, beginning with 0, and the rank within the
    /// bucket; `None` if there are fewer scores.
    fn place(&self, tail: &Tail, rank: u64) -> Option<(usize, u64)> {
        let mut left = rank;
        for (bucket, n) in self.counts(tail)?.iter().enumerate().rev() {
            if left < *n {
                return Some((bucket, left));
            }
            left -= n;
        }
        None
    }

    /// The second pass, for one rank of each tail.
    pub fn refine(&self, ranks: &[(Tail, u64)]) -> Refined {
        let place = |(tail, rank): &(Tail, u64)| {
            let (bucket, rank) = self.place(tail, *rank)?;
            Some(Place { tail: tail.clone(), bucket, rank, counts: vec![0; 1 << LOW] })
        };
        Refined(ranks.iter().filter_map(place).collect())
    }
}

/// Counts of the second pass. Memory: 130 kB per rank.
#[derive(Debug, Clone)]
pub struct Refined(Vec<Place>);

/// Scores of one bucket, by their lower bits.
#[derive(Debug, Clone)]
struct Place {
    tail: Tail,
    bucket: usize,
    rank: u64,
    counts: Vec<u64>,
}

impl Refined {
    /// Counts the scores of a ledger's batch.
    pub fn add(&mut self, batch: &RecordBatch) {
        each_score(batch, |source, itm| {
            let is_here = |place: &&mut Place| place.bucket == bucket(itm) && place.tail.source() == source;
            if let Some(place) = self.0.iter_mut().find(is_here) {
                place.counts[(itm.to_bits() & ((1 << LOW) - 1)) as usize] += 1;
            }
        });
    }

    /// Adds other counts of the same ranks.
    pub fn merge(&mut self, other: &Self) {
        for (place, more) in self.0.iter_mut().zip(&other.0) {
            place.counts.iter_mut().zip(&more.counts).for_each(|(sum, n)| *sum += n);
        }
    }

    /// The score with the rank; `None` if there are fewer scores.
    pub fn score(&self, tail: &Tail) -> Option<f32> {
        let place = self.0.iter().find(|place| place.tail == *tail)?;
        let mut left = place.rank;
        for (low, n) in place.counts.iter().enumerate().rev() {
            if left < *n {
                return Some(f32::from_bits(((place.bucket as u32) << LOW) | low as u32));
            }
            left -= n;
        }
        None
    }
}

/// Bucket of a score. A score is a probability; a damaged one above 1 counts as the largest.
fn bucket(itm: f32) -> usize {
    ((itm.max(0.0).to_bits() >> LOW) as usize).min(BUCKETS - 1)
}

/// Calls `each` with the source and P(match) of every judged text, and without a source of every control.
fn each_score(batch: &RecordBatch, mut each: impl FnMut(Option<&str>, f32)) {
    if let Some(controls) = batch.column_by_name("control_itm") {
        controls.as_primitive::<Float32Type>().iter().flatten().for_each(|itm| each(None, itm));
    }
    let lists = texts(batch);
    let items = lists.values().as_struct();
    let (Some(sources), Some(itm)) = (items.column_by_name("source"), items.column_by_name("itm")) else {
        return;
    };
    let (sources, itm) = (sources.as_string::<i32>(), itm.as_primitive::<Float32Type>());
    let offsets = lists.value_offsets();
    for item in offsets[0] as usize..offsets[lists.len()] as usize {
        if itm.is_valid(item) {
            each(Some(sources.value(item)), itm.value(item));
        }
    }
}
