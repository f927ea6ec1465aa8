//! Rank of the right answer among all answers.

use serde::Serialize;

/// Percentage of queries whose right answer is among the first 1, 5 and 10.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Recalls {
    /// Share of queries with a match in first place, in percent.
    pub r1: f64,
    /// Share of queries with a match in the first five places, in percent.
    pub r5: f64,
    /// Share of queries with a match in the first ten places, in percent.
    pub r10: f64,
    /// Median rank, 1 for the first place; `None` if half of the matches were not found.
    pub median_rank: Option<f64>,
}

impl Recalls {
    /// Recalls of the right answers' ranks; 0 is the first rank, infinity an answer that was not found.
    pub(crate) fn of(ranks: &[f64]) -> Self {
        let within = |k: f64| {
            100.0 * ranks.iter().filter(|rank| **rank < k).count() as f64 / ranks.len().max(1) as f64
        };
        Self { r1: within(1.0), r5: within(5.0), r10: within(10.0), median_rank: median(ranks) }
    }

    /// Mean of the three shares.
    pub fn mean(&self) -> f64 {
        (self.r1 + self.r5 + self.r10) / 3.0
    }
}

/// Median of ranks from 0 on, as a rank from 1 on.
fn median(ranks: &[f64]) -> Option<f64> {
    let mut ranks = ranks.to_vec();
    ranks.sort_by(f64::total_cmp);
    let middle = [ranks.len().checked_sub(1)? / 2, ranks.len() / 2].map(|at| ranks[at]);
    Some((middle[0] + middle[1]) / 2.0 + 1.0).filter(|median| median.is_finite())
}

/// Rank of the best right answer. A wrong answer with an equal score counts as half a rank: a model with
/// constant scores finds nothing, and a duplicated text costs at most half a rank.
pub(crate) fn rank(
    scores: impl Iterator<Item = (usize, f32)> + Clone,
    is_right: impl Fn(usize) -> bool,
) -> f64 {
    let right = scores.clone().filter(|(i, _)| is_right(*i)).map(|(_, score)| score);
    let Some(best) = right.reduce(f32::max) else { return f64::INFINITY };
    let wrong = scores.filter(|(i, _)| !is_right(*i));
    let (before, beside) = wrong.fold((0_u64, 0_u64), |(before, beside), (_, score)| {
        (before + u64::from(score > best), beside + u64::from(score == best))
    });
    before as f64 + beside as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scores: &[f32], right: &[usize]) -> f64 {
        rank(scores.iter().copied().enumerate(), |i| right.contains(&i))
    }

    #[test]
    fn the_best_right_answer_counts_and_equal_wrong_ones_count_half() {
        assert_eq!(of(&[0.1, 0.9, 0.5], &[1]), 0.0);
        assert_eq!(of(&[0.1, 0.9, 0.5], &[0]), 2.0);
        assert_eq!(of(&[0.1, 0.9, 0.5], &[0, 2]), 1.0);
        assert_eq!(of(&[0.5; 5], &[0]), 2.0);
        assert_eq!(of(&[0.5; 5], &[]), f64::INFINITY);
        let recalls = Recalls::of(&[0.0, 0.5, 4.0, 9.5, f64::INFINITY]);
        assert_eq!((recalls.r1, recalls.r5, recalls.r10), (40.0, 60.0, 80.0));
        let medians = [&[4.0, 0.0, 9.5][..], &[2.0, 1.0], &[0.0, f64::INFINITY], &[]];
        assert_eq!(medians.map(median), [Some(5.0), Some(2.5), None, None]);
    }
}
