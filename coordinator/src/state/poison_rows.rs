//! Finds the rows that end a worker process.
//!
//! A worker process that crashes, runs out of memory or hangs leaves a record of the rows in process. After
//! one such death no row is blamed. After the second, every suspected row is tried alone before the shard is
//! started again, so that the next death identifies its row. (Halving the range would cost one death, and one
//! process with loaded models, per halving.) Identified rows are quarantined and the shard is executed
//! without them; the deaths that they explain use up no attempt.
//!
//! A kill from outside is weak evidence, because schedulers kill processes. Two kills with the same rows in
//! process make the rows suspected, and two kills of a row that was alone identify the row.
//!
//! The failure records decide all of this, so every process that makes the next attempt reaches the same
//! result.

use capfilt_schemas::failure::{Crash, Failure, FailureClass};
use std::{collections::BTreeMap, ops::Range};

/// Number of deaths after which the suspected rows are tried alone.
const DEATHS: usize = 2;

/// Most rows that are quarantined in this way in one shard. More rows point to another cause, and the shard's
/// attempts run out.
const MOST_ROWS: usize = 16;

/// Facts about a failed attempt that the next attempt needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedAttempt {
    /// Class of the failure.
    pub class: FailureClass,
    /// Rows that were in process, if the process died.
    pub crash: Option<Crash>,
}

impl From<&Failure> for FailedAttempt {
    fn from(failure: &Failure) -> Self {
        Self { class: failure.class, crash: failure.crash.clone() }
    }
}

/// Rows that ended a process in which they were alone, in order, each with the failure class.
pub fn poison_rows(failed: &[FailedAttempt]) -> BTreeMap<u64, FailureClass> {
    let alone = failed.iter().filter_map(|one| Some((one.class, alone(one)?)));
    let mut named = BTreeMap::new();
    for (class, row) in alone {
        let is_sure = class.counts() || failed.iter().filter(|other| alone_is(other, row)).count() >= DEATHS;
        if is_sure && (named.len() < MOST_ROWS || named.contains_key(&row)) {
            named.insert(row, class);
        }
    }
    named
}

/// The row that was alone in the process.
fn alone(one: &FailedAttempt) -> Option<u64> {
    one.crash.as_ref().filter(|crash| crash.alone)?.rows.first().map(|rows| rows.start)
}

fn alone_is(one: &FailedAttempt, row: u64) -> bool {
    alone(one) == Some(row)
}

/// Number of used attempts: failures of the shard that no identified row explains.
pub fn used_attempts(failed: &[FailedAttempt]) -> u32 {
    let named = poison_rows(failed);
    let counts = |one: &&FailedAttempt| {
        one.class.uses_an_attempt() && !one.crash.as_ref().is_some_and(|crash| explains(&named, crash))
    };
    failed.iter().filter(counts).count() as u32
}

/// Whether a death is unexplained. The shard then gets a separate process, so that no other shard is
/// suspected with it.
pub fn is_suspected(failed: &[FailedAttempt]) -> bool {
    unexplained(failed).next().is_some()
}

/// Rows of the file to try alone before the next attempt; empty before two unexplained deaths.
pub fn rows_to_try_alone(failed: &[FailedAttempt]) -> Vec<Range<u64>> {
    let deaths: Vec<&Crash> = unexplained(failed).collect();
    let [.., before, last] = &deaths[..] else { return Vec::new() };
    if deaths.len() < DEATHS {
        return Vec::new();
    }
    let both =
        last.rows.iter().flat_map(|a| before.rows.iter().map(|b| a.start.max(b.start)..a.end.min(b.end)));
    let both: Vec<_> = both.filter(|rows| !rows.is_empty()).collect();
    if both.is_empty() { deaths.iter().flat_map(|crash| crash.rows.clone()).collect() } else { both }
}

/// Deaths that no identified row explains and that make their rows suspected.
fn unexplained(failed: &[FailedAttempt]) -> impl Iterator<Item = &Crash> {
    let named = poison_rows(failed);
    let open = |one: &FailedAttempt| {
        one.crash.as_ref().is_some_and(|crash| !crash.rows.is_empty() && !explains(&named, crash))
    };
    let open: Vec<&FailedAttempt> = failed.iter().filter(|one| open(one)).collect();
    let suspicious: Vec<bool> = (0..open.len())
        .map(|at| {
            open[at].class.counts()
                || (0..open.len()).any(|other| other != at && shares_rows(open[at], open[other]))
        })
        .collect();
    let suspicious = open.into_iter().zip(suspicious).filter(|(_, suspicious)| *suspicious);
    suspicious.filter_map(|(one, _)| one.crash.as_ref()).collect::<Vec<_>>().into_iter()
}

fn shares_rows(a: &FailedAttempt, b: &FailedAttempt) -> bool {
    let rows = |one: &FailedAttempt| one.crash.as_ref().map_or(Vec::new(), |crash| crash.rows.clone());
    let theirs = rows(b);
    rows(a).iter().any(|a| theirs.iter().any(|b| a.start.max(b.start) < a.end.min(b.end)))
}

fn explains(named: &BTreeMap<u64, FailureClass>, crash: &Crash) -> bool {
    named.keys().any(|row| crash.rows.iter().any(|rows| rows.contains(row)))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a range is what is meant
mod tests {
    use super::*;

    fn crash(rows: &[Range<u64>], alone: bool) -> FailedAttempt {
        FailedAttempt {
            class: FailureClass::WorkerCrashed,
            crash: Some(Crash { rows: rows.to_vec(), alone }),
        }
    }

    fn kill(rows: &[Range<u64>], alone: bool) -> FailedAttempt {
        FailedAttempt { class: FailureClass::WorkerKilled, ..crash(rows, alone) }
    }

    fn named(failed: &[FailedAttempt]) -> Vec<u64> {
        poison_rows(failed).into_keys().collect()
    }

    #[test]
    fn a_second_kill_with_the_same_rows_in_hand_is_a_suspicion_and_two_of_a_row_alone_name_it() {
        let mut failed = vec![kill(&[0..8], false), kill(&[8..16], false)];
        assert!(!is_suspected(&failed) && rows_to_try_alone(&failed).is_empty(), "kills as schedulers do");
        failed.push(kill(&[4..12], false));
        assert!(is_suspected(&failed));
        assert_eq!(rows_to_try_alone(&failed), [8..12]);
        failed.push(kill(&[9..10], true));
        assert_eq!(
            (named(&failed), rows_to_try_alone(&failed)),
            (vec![], vec![9..10]),
            "a scheduler may be the cause"
        );
        failed.push(kill(&[9..10], true));
        assert_eq!((named(&failed), used_attempts(&failed)), (vec![9], 0));
        assert!(!is_suspected(&failed), "the remaining single kill proves nothing");
    }

    #[test]
    fn want_of_memory_and_silence_are_deaths_as_any_other() {
        for class in [FailureClass::WorkerMemory, FailureClass::WorkerHung] {
            let of = |rows: Range<u64>, alone| FailedAttempt { class, ..crash(&[rows], alone) };
            let mut failed = vec![of(0..8, false), of(0..8, false)];
            assert_eq!((rows_to_try_alone(&failed), used_attempts(&failed)), (vec![0..8], 2));
            failed.push(of(3..4, true));
            assert_eq!((poison_rows(&failed), used_attempts(&failed)), ([(3, class)].into(), 0));
        }
    }

    #[test]
    fn two_deaths_lead_to_the_rows_both_had_in_hand() {
        let mut failed = vec![crash(&[0..8, 8..16], false)];
        assert!(is_suspected(&failed) && rows_to_try_alone(&failed).is_empty());
        failed.push(crash(&[8..16, 16..24], false));
        assert_eq!(rows_to_try_alone(&failed), [8..16]);
        failed.push(crash(&[40..48], false));
        assert_eq!(
            rows_to_try_alone(&failed),
            [0..8, 8..16, 8..16, 16..24, 40..48],
            "no common row: all are suspected"
        );
        assert_eq!(used_attempts(&failed), 3);
    }

    #[test]
    fn a_row_that_dies_alone_is_set_aside_and_explains_the_deaths_before() {
        let failed =
            [crash(&[0..8], false), crash(&[0..8], false), crash(&[5..6], true), crash(&[8..16], false)];
        assert_eq!(named(&failed), [5]);
        assert_eq!(used_attempts(&failed), 1, "another row caused the last death");
        assert!(is_suspected(&failed) && rows_to_try_alone(&failed).is_empty());
        assert!(!is_suspected(&failed[..3]));
    }

    #[test]
    fn a_shard_whose_rows_all_end_the_process_runs_out_of_attempts() {
        let failed: Vec<FailedAttempt> = (0..40).map(|row| crash(&[row..row + 1], true)).collect();
        assert_eq!((poison_rows(&failed).len(), used_attempts(&failed)), (16, 24));
    }

    #[test]
    fn a_death_with_nothing_in_hand_suspects_no_row() {
        let failed = vec![crash(&[], false); 3];
        assert!(!is_suspected(&failed) && rows_to_try_alone(&failed).is_empty());
        assert_eq!(used_attempts(&failed), 3);
    }
}
