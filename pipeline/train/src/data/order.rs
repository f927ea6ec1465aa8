//! Order of the pairs. An epoch visits row groups in random order; the pairs of a window of row groups are
//! shuffled together. So the order needs only the row groups' sizes in memory, and the reader only one
//! window. Sources are interleaved, so that every window has the mix of the whole epoch, and not hundreds of
//! steps of one source.

use super::draws::Draws;
use std::{collections::BTreeMap, ops::Range};

/// Row groups whose pairs are shuffled together. They are in memory, encoded: 2.4 GB for 10,000 pairs of 30
/// kB each.
pub(crate) const WINDOW: usize = 8;

/// A row group of a source.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub source: usize,
    pub rows: u64,
    /// How often an epoch contains each of its rows.
    pub weight: f64,
}

/// A visit of a row group in an epoch, and the number of its rows: all, or for the fraction of a weight a
/// part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// Index of the row group in the data set.
    pub group: usize,
    pub rows: u64,
    /// Number of the visit among the group's visits in this epoch.
    pub copy: u64,
}

/// Row groups whose pairs are shuffled together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    pub visits: Vec<Visit>,
    /// Number of pairs of the epoch before this window.
    pub first: u64,
    pub pairs: u64,
}

/// Visits of a row group in an epoch.
fn visits_of(group: usize, Size { rows, weight, .. }: Size) -> Vec<Visit> {
    let whole = weight.floor() as u64;
    let part = ((weight - weight.floor()) * rows as f64).round() as u64;
    let full = (0..whole).map(|copy| Visit { group, rows, copy });
    full.chain((part > 0).then_some(Visit { group, rows: part, copy: whole })).collect()
}

fn visits(groups: &[Size]) -> impl Iterator<Item = Visit> {
    groups.iter().enumerate().flat_map(|(group, size)| visits_of(group, *size))
}

/// Number of pairs of an epoch; the same for every epoch.
pub(crate) fn pairs_per_epoch(groups: &[Size]) -> u64 {
    visits(groups).map(|visit| visit.rows).sum()
}

/// Windows of an epoch.
pub fn windows(groups: &[Size], seed: u64, epoch: u64) -> Vec<Window> {
    let mut visits: Vec<Visit> = visits(groups).collect();
    Draws::of("row groups", &[seed, epoch]).shuffle(&mut visits);
    let visits = in_turns(&visits, |visit| groups[visit.group].source);
    let mut first = 0;
    let window = |visits: &[Visit]| {
        let pairs = visits.iter().map(|visit| visit.rows).sum();
        first += pairs;
        Window { visits: visits.to_vec(), first: first - pairs, pairs }
    };
    visits.chunks(WINDOW).map(window).collect()
}

/// Distributes the visits of each source evenly over the epoch, without changing their order.
fn in_turns(visits: &[Visit], source: impl Fn(&Visit) -> usize) -> Vec<Visit> {
    let mut of_source: BTreeMap<usize, Vec<Visit>> = BTreeMap::new();
    visits.iter().for_each(|visit| of_source.entry(source(visit)).or_default().push(*visit));
    let spread = |visits: Vec<Visit>| {
        let all = visits.len() as f64;
        visits.into_iter().enumerate().map(move |(i, visit)| ((i as f64 + 0.5) / all, visit))
    };
    let mut placed: Vec<(f64, Visit)> = of_source.into_values().flat_map(spread).collect();
    placed.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    placed.into_iter().map(|(_, visit)| visit).collect()
}

/// Pairs of a window in order: index of the visit, and row within its group. `rows`: number of rows of each
/// visited group. Every `together` consecutive rows stay adjacent.
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

    fn epoch(groups: &[Size], together: u64, seed: u64, epoch: u64) -> Vec<(usize, u64)> {
        let of_window = |window: &Window| {
            let rows: Vec<u64> = window.visits.iter().map(|visit| groups[visit.group].rows).collect();
            let named = |(i, row): (usize, u64)| (window.visits[i].group, row);
            pairs(window, &rows, together, seed, epoch).into_iter().map(named).collect::<Vec<_>>()
        };
        windows(groups, seed, epoch).iter().flat_map(of_window).collect()
    }

    #[test]
    fn an_epoch_holds_every_pair_as_often_as_its_weight_says_and_each_epoch_in_another_order() {
        let size =
            |i: usize| Size { source: i % 3, rows: 50 + i as u64, weight: if i < 10 { 1.0 } else { 2.5 } };
        let groups: Vec<Size> = (0..20).map(size).collect();
        for together in [1, 4] {
            holds_every_pair(&groups, together);
        }
    }

    fn holds_every_pair(groups: &[Size], together: u64) {
        let first = epoch(groups, together, 7, 0);
        assert_eq!(first.len() as u64, pairs_per_epoch(groups));
        let mut counts = BTreeMap::new();
        first.iter().for_each(|pair| *counts.entry(*pair).or_insert(0) += 1);
        for (group, Size { rows, weight, .. }) in groups.iter().enumerate() {
            let counts: Vec<i32> = (0..*rows).map(|row| *counts.get(&(group, row)).unwrap_or(&0)).collect();
            let (least, most) = (weight.floor() as i32, weight.ceil() as i32);
            assert!(counts.iter().all(|n| (least..=most).contains(n)), "{group}: {counts:?}");
        }
        assert_eq!(first, epoch(groups, together, 7, 0), "the order is a function of seed and epoch");
        assert_ne!(first, epoch(groups, together, 7, 1));
        assert_ne!(first, epoch(groups, together, 8, 0));
    }

    #[test]
    fn a_window_is_the_mix_that_the_epoch_is() {
        // 60 visits of the first source, 30 of the second, 15 of the third: 4.6, 2.3 and 1.1 of every 8
        let size = |source, weight| Size { source, rows: 100, weight };
        let groups = [vec![size(0, 1.0); 60], vec![size(1, 3.0); 10], vec![size(2, 0.5); 15]].concat();
        for seed in 0..10 {
            let windows = windows(&groups, seed, 0);
            for window in &windows[..windows.len() - 1] {
                let visits = |source| {
                    window.visits.iter().filter(|visit| groups[visit.group].source == source).count()
                };
                let mix = [visits(0), visits(1), visits(2)];
                assert!(
                    (4..=5).contains(&mix[0]) && (2..=3).contains(&mix[1]) && (1..=2).contains(&mix[2]),
                    "{mix:?}"
                );
            }
        }
    }

    #[test]
    fn rows_that_are_to_stay_together_do() {
        let order = epoch(&[Size { source: 0, rows: 40, weight: 1.0 }; 20], 4, 7, 0);
        for run in order.chunks(4) {
            let (group, row) = run[0];
            assert_eq!(row % 4, 0);
            assert_eq!(run, [0, 1, 2, 3].map(|i| (group, row + i)));
        }
        assert!(
            order.chunks(4).zip(order.chunks(4).skip(1)).any(|(a, b)| a[0].0 != b[0].0),
            "runs are shuffled"
        );
    }
}
