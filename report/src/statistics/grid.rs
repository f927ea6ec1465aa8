//! Positions of a threshold, and counts of scores at each of them.

use serde::Serialize;

/// Steps of the slider between 0 and 1.
const STEPS: u32 = 100;

/// Bars of a histogram.
pub const BARS: usize = 50;

/// A score with a slider and a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// P(match), 0 to 1.
    Match,
    /// CLIP score. The histogram shows 0 to 50: scores of trained CLIPs are between 5 and 45. The first bar
    /// also has the lower scores, the last one the higher scores.
    Clip,
}

impl Scale {
    /// Upper edge of the last bar.
    pub fn top(self) -> f64 {
        match self {
            Self::Match => 1.0,
            Self::Clip => 50.0,
        }
    }

    /// Lower edge of a bar.
    pub fn edge(self, bar: usize) -> f64 {
        let steps = (bar * STEPS as usize / BARS) as f64;
        match self {
            Self::Match => steps / f64::from(STEPS),
            Self::Clip => steps * self.top() / f64::from(STEPS),
        }
    }
}

/// Positions of a threshold in ascending order: 0.00, 0.01, … 1.00, and the job's thresholds between them. Of
/// CLIP scores: −100, which every score reaches, then 0, 0.5, … 50, and the job's thresholds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Grid(Vec<f64>);

impl Grid {
    /// The positions for a job with these thresholds.
    pub fn new(thresholds: impl IntoIterator<Item = f64>) -> Self {
        let steps = (0..=STEPS).map(|step| f64::from(step) / f64::from(STEPS));
        let within = |threshold: &f64| (0.0..=1.0).contains(threshold);
        Self::sorted(steps.chain(thresholds.into_iter().filter(within)))
    }

    /// The positions of CLIP scores for a job with these CLIP thresholds.
    pub fn of_clip(thresholds: impl IntoIterator<Item = f64>) -> Self {
        let steps = (0..=STEPS).map(|step| Scale::Clip.top() * f64::from(step) / f64::from(STEPS));
        let within = |threshold: &f64| (-100.0..=100.0).contains(threshold);
        Self::sorted([-100.0].into_iter().chain(steps).chain(thresholds.into_iter().filter(within)))
    }

    fn sorted(positions: impl Iterator<Item = f64>) -> Self {
        let mut positions: Vec<f64> = positions.collect();
        positions.sort_by(f64::total_cmp);
        positions.dedup();
        Self(positions)
    }

    /// The positions.
    pub fn positions(&self) -> &[f64] {
        &self.0
    }

    /// Index of the position with this value, or of the nearest one.
    pub fn index_of(&self, threshold: f64) -> usize {
        let distance = |i: &usize| (self.0[*i] - threshold).abs();
        (0..self.0.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
    }

    /// Number of positions that a score reaches, by the rule of verdicts: `f64::from(itm) >= position`. A
    /// score that is not a number reaches none.
    fn reached(&self, itm: f32) -> usize {
        let itm = f64::from(itm);
        self.0.partition_point(|position| itm >= *position)
    }
}

/// Number of scores by the number of positions that they reach.
#[derive(Debug, Clone, Default)]
pub struct Scores(Vec<u64>);

impl Scores {
    /// No score yet.
    pub fn new(grid: &Grid) -> Self {
        Self(vec![0; grid.0.len() + 1])
    }

    /// Counts a score.
    pub fn add(&mut self, grid: &Grid, itm: f32) {
        self.0[grid.reached(itm)] += 1;
    }

    /// Adds other counts of the same grid.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, n)| *sum += n);
    }

    /// Number of scores.
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Scores that reach each position.
    pub fn at_least(&self) -> Vec<u64> {
        let mut sums: Vec<u64> = self.0.iter().skip(1).rev().copied().collect();
        for i in 1..sums.len() {
            sums[i] += sums[i - 1];
        }
        sums.reverse();
        sums
    }

    /// The highest position that the median score reaches; of an even number of scores, the lower one of the
    /// two in the middle counts. `None` without scores, or if the score reaches no position.
    pub fn median(&self, grid: &Grid) -> Option<f64> {
        let middle = self.all().checked_sub(1)? / 2;
        let mut below = 0;
        let reached = self.0.iter().position(|n| {
            below += n;
            below > middle
        })?;
        reached.checked_sub(1).map(|at| grid.0[at])
    }
}

/// Number of scores in each bar, from the numbers of scores that reach each position.
pub fn bars(scale: Scale, grid: &Grid, at_least: &[u64]) -> Vec<u64> {
    let from = |bar: usize| match bar {
        0 => at_least[0],
        BARS => 0,
        _ => at_least[grid.index_of(scale.edge(bar))],
    };
    (0..BARS).map(|bar| from(bar) - from(bar + 1)).collect()
}

/// The bar of a P(match); `None` for one that reaches no position.
pub fn bar_of(itm: f32) -> Option<usize> {
    let itm = f64::from(itm);
    let near = ((itm * BARS as f64) as usize).min(BARS - 1);
    let bar = (near.saturating_sub(1)..(near + 2).min(BARS)).rev().find(|bar| itm >= Scale::Match.edge(*bar));
    bar.filter(|_| !itm.is_nan())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_counts_at_exactly_the_positions_that_the_rule_of_verdicts_lets_it_reach() {
        let grid = Grid::new([0.0003, 0.5]);
        assert_eq!(grid.positions().len(), 102);
        let mut scores = Scores::new(&grid);
        // 0.7 as a single is below 0.7, and 0.1 is above 0.1.
        let values = [0.7f32, 0.1, 0.5, 0.000_299, 0.0, 1.0, f32::NAN, 0.999_999_9];
        values.iter().for_each(|value| scores.add(&grid, *value));
        for (position, counted) in grid.positions().iter().zip(scores.at_least()) {
            let expected = values.iter().filter(|value| f64::from(**value) >= *position).count() as u64;
            assert_eq!(counted, expected, "{position}");
        }
        assert_eq!(scores.all(), 8);
    }

    #[test]
    fn bars_and_positions_agree_about_every_score() {
        let grid = Grid::new([]);
        let mut scores = Scores::new(&grid);
        let mut expected = vec![0; BARS];
        for step in 0..=100_000u32 {
            let itm = step as f32 / 100_000.0;
            scores.add(&grid, itm);
            expected[bar_of(itm).unwrap()] += 1;
        }
        assert_eq!(bars(Scale::Match, &grid, &scores.at_least()), expected);
        assert_eq!(
            (bar_of(1.0), bar_of(0.0), bar_of(f32::NAN), bar_of(-0.1)),
            (Some(49), Some(0), None, None)
        );
    }

    #[test]
    fn every_clip_score_is_in_one_bar_and_reaches_the_first_position() {
        let grid = Grid::of_clip([28.25, -3.0]);
        let mut scores = Scores::new(&grid);
        let values = [-100.0f32, -4.0, 0.0, 0.99, 1.0, 28.2, 28.25, 49.5, 50.0, 77.0, 100.0];
        values.iter().for_each(|value| scores.add(&grid, *value));
        let at_least = scores.at_least();
        for (position, counted) in grid.positions().iter().zip(&at_least) {
            let expected = values.iter().filter(|value| f64::from(**value) >= *position).count() as u64;
            assert_eq!(*counted, expected, "{position}");
        }
        let bars = bars(Scale::Clip, &grid, &at_least);
        assert_eq!(bars.iter().sum::<u64>(), values.len() as u64);
        assert_eq!((bars[0], bars[1], bars[28], bars[49]), (4, 1, 2, 4));
        assert_eq!((Scale::Clip.edge(28), Scale::Match.edge(28)), (28.0, 0.56));
    }

    #[test]
    fn the_median_is_the_lower_middle_score_cut_to_a_position() {
        let grid = Grid::new([]);
        let median = |values: &[f32]| {
            let mut scores = Scores::new(&grid);
            values.iter().for_each(|value| scores.add(&grid, *value));
            scores.median(&grid)
        };
        assert_eq!(median(&[0.913, 0.125, 0.551]), Some(0.55));
        assert_eq!(median(&[0.913, 0.125]), Some(0.12));
        assert_eq!(median(&[]), None);
    }
}
