//! Which pair comes when. An epoch visits row groups in random order, a few at a time; the pairs of these few are shuffled
//! together. So the order needs no more memory than the row groups' sizes, and the reader none but for a window of them.

use super::draws::Draws;
use std::ops::Range;

/// Row groups whose pairs are shuffled together. They are held in memory, encoded: at 10,000 pairs of 30 kB each 2.4 GB.
pub const WINDOW: usize = 8;

/// A row group in an epoch, and how many of its rows belong to it: all, or of a weight's fraction a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Index of the row group in the data set.
    pub group: usize,
    pub rows: u64,
    /// Which of the group's visits in this epoch it is.
    pub copy: u64,
}

/// Row groups whose pairs are shuffled together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub visits: Vec<Visit>,
    /// Pairs of the epoch before it.
    pub first: u64,
    pub pairs: u64,
}

/// How often an epoch visits a row group of `rows` rows.
fn visits_of(group: usize, rows: u64, weight: f64) -> Vec<Visit> {
    let whole = weight.floor() as u64;
    let part = ((weight - weight.floor()) * rows as f64).round() as u64;
    let full = (0..whole).map(|copy| Visit { group, rows, copy });
    full.chain((part > 0).then_some(Visit { group, rows: part, copy: whole })).collect()
}

/// Pairs of one epoch; the same for each.
pub fn pairs_per_epoch(groups: &[(u64, f64)]) -> u64 {
    let visits = groups.iter().enumerate().flat_map(|(i, (rows, weight))| visits_of(i, *rows, *weight));
    visits.map(|visit| visit.rows).sum()
}

/// The windows of an epoch. `groups`: rows and weight of each row group.
pub fn windows(groups: &[(u64, f64)], seed: u64, epoch: u64) -> Vec<Window> {
    let visits = groups.iter().enumerate().flat_map(|(i, (rows, weight))| visits_of(i, *rows, *weight));
    let mut visits: Vec<Visit> = visits.collect();
    Draws::of("row groups", &[seed, epoch]).shuffle(&mut visits);
    let mut first = 0;
    let window = |visits: &[Visit]| {
        let pairs = visits.iter().map(|visit| visit.rows).sum();
        first += pairs;
        Window { visits: visits.to_vec(), first: first - pairs, pairs }
    };
    visits.chunks(WINDOW).map(window).collect()
}

/// The pairs of a window in order: index of the visit and row within its group. `rows`: rows of each visited group, of
/// which every `together` that follow each other stay so.
pub fn pairs(window: &Window, rows: &[u64], together: u64, seed: u64, epoch: u64) -> Vec<(usize, u64)> {
    let mut runs = Vec::new();
    for (i, (visit, rows)) in window.visits.iter().zip(rows).enumerate() {
        let mut of_group: Vec<Range<u64>> =
            (0..*rows).step_by(together as usize).map(|row| row..*rows.min(&(row + together))).collect();
        if visit.rows < *rows {
            Draws::of("part", &[seed, epoch, visit.group as u64, visit.copy]).shuffle(&mut of_group);
        }
        let mut left = visit.rows;
        for run in of_group {
            let taken = run.start..run.end.min(run.start + left);
            left -= taken.end - taken.start;
            if taken.is_empty() {
                break;
            }
            runs.push((i, taken));
        }
    }
    Draws::of("pairs", &[seed, epoch, window.first]).shuffle(&mut runs);
    runs.into_iter().flat_map(|(i, run)| run.map(move |row| (i, row))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn epoch(groups: &[(u64, f64)], together: u64, seed: u64, epoch: u64) -> Vec<(usize, u64)> {
        let of_window = |window: &Window| {
            let rows: Vec<u64> = window.visits.iter().map(|visit| groups[visit.group].0).collect();
            let named = |(i, row): (usize, u64)| (window.visits[i].group, row);
            pairs(window, &rows, together, seed, epoch).into_iter().map(named).collect::<Vec<_>>()
        };
        windows(groups, seed, epoch).iter().flat_map(of_window).collect()
    }

    #[test]
    fn an_epoch_holds_every_pair_as_often_as_its_weight_says_and_each_epoch_in_another_order() {
        let groups: Vec<(u64, f64)> = (0..20).map(|i| (50 + i, if i < 10 { 1.0 } else { 2.5 })).collect();
        for together in [1, 4] {
            holds_every_pair(&groups, together);
        }
    }

    fn holds_every_pair(groups: &[(u64, f64)], together: u64) {
        let first = epoch(groups, together, 7, 0);
        assert_eq!(first.len() as u64, pairs_per_epoch(groups));
        let mut counts = BTreeMap::new();
        first.iter().for_each(|pair| *counts.entry(*pair).or_insert(0) += 1);
        for (group, (rows, weight)) in groups.iter().enumerate() {
            let counts: Vec<i32> = (0..*rows).map(|row| *counts.get(&(group, row)).unwrap_or(&0)).collect();
            let (least, most) = (weight.floor() as i32, weight.ceil() as i32);
            assert!(counts.iter().all(|n| (least..=most).contains(n)), "{group}: {counts:?}");
        }
        assert_eq!(first, epoch(groups, together, 7, 0), "the order is a function of seed and epoch");
        assert_ne!(first, epoch(groups, together, 7, 1));
        assert_ne!(first, epoch(groups, together, 8, 0));
    }

    #[test]
    fn rows_that_are_to_stay_together_do() {
        let order = epoch(&[(40, 1.0); 20], 4, 7, 0);
        for run in order.chunks(4) {
            let (group, row) = run[0];
            assert_eq!(row % 4, 0);
            assert_eq!(run, [0, 1, 2, 3].map(|i| (group, row + i)));
        }
        assert!(order.chunks(4).zip(order.chunks(4).skip(1)).any(|(a, b)| a[0].0 != b[0].0), "runs are shuffled");
    }
}
