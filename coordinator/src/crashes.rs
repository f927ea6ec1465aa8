//! What a shard's crashes tell: which rows end the process, and which attempts that explains.
//!
//! A process that dies of its own leaves the rows it had in hand. One such death may be anything; after the second, every
//! suspected row is tried alone before the shard is begun again, so that the next death names its row. (Halving the range
//! would need a death, and a process with its models, for every halving.) Named rows are set aside and the shard is
//! done without them; the deaths they explain use up no attempt.
//!
//! All of it follows from the failures on record, so whoever does the next attempt, anywhere, comes to the same.

use crate::standing::uses_an_attempt;
use capfilt_schemas::failure::{Crash, Failure, FailureClass};
use std::{collections::BTreeSet, ops::Range};

/// Deaths after which the suspected rows are tried alone.
const DEATHS: usize = 2;

/// Rows that are set aside in one shard. With more of them something else is wrong, and the shard's attempts run out.
const MOST_ROWS: usize = 16;

/// A failed attempt, as far as the next one must know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    pub class: FailureClass,
    pub crash: Option<Crash>,
}

impl From<&Failure> for Failed {
    fn from(failure: &Failure) -> Self {
        Self { class: failure.class, crash: failure.crash.clone() }
    }
}

/// Rows that ended a process while they were alone in it, in order.
pub fn set_aside(failed: &[Failed]) -> Vec<u64> {
    let alone = crashes(failed).filter(|crash| crash.alone);
    let rows: BTreeSet<u64> = alone.flat_map(|crash| crash.rows.iter().map(|rows| rows.start)).collect();
    rows.into_iter().take(MOST_ROWS).collect()
}

/// Attempts that are used up: those that speak against the shard and that no set-aside row explains.
pub fn used(failed: &[Failed]) -> u32 {
    let guilty = set_aside(failed);
    let counts =
        |one: &&Failed| uses_an_attempt(one.class) && !one.crash.as_ref().is_some_and(|crash| explains(&guilty, crash));
    failed.iter().filter(counts).count() as u32
}

/// Whether a death is unexplained: then the shard is alone in its process, so that no other is suspected with it.
pub fn is_suspected(failed: &[Failed]) -> bool {
    unexplained(failed).next().is_some()
}

/// Rows of the file to try alone before the next attempt; nothing while there is no reason for the effort.
pub fn try_alone(failed: &[Failed]) -> Vec<Range<u64>> {
    let deaths: Vec<&Crash> = unexplained(failed).collect();
    let [.., before, last] = &deaths[..] else { return Vec::new() };
    if deaths.len() < DEATHS {
        return Vec::new();
    }
    let both = last.rows.iter().flat_map(|a| before.rows.iter().map(|b| a.start.max(b.start)..a.end.min(b.end)));
    let both: Vec<_> = both.filter(|rows| !rows.is_empty()).collect();
    if both.is_empty() { deaths.iter().flat_map(|crash| crash.rows.clone()).collect() } else { both }
}

fn crashes(failed: &[Failed]) -> impl Iterator<Item = &Crash> {
    failed.iter().filter_map(|one| one.crash.as_ref())
}

fn unexplained(failed: &[Failed]) -> impl Iterator<Item = &Crash> {
    let guilty = set_aside(failed);
    crashes(failed).filter(move |crash| !crash.rows.is_empty() && !explains(&guilty, crash))
}

fn explains(guilty: &[u64], crash: &Crash) -> bool {
    guilty.iter().any(|row| crash.rows.iter().any(|rows| rows.contains(row)))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a range is what is meant
mod tests {
    use super::*;

    fn crash(rows: &[Range<u64>], alone: bool) -> Failed {
        Failed { class: FailureClass::WorkerCrashed, crash: Some(Crash { rows: rows.to_vec(), alone }) }
    }

    #[test]
    fn two_deaths_lead_to_the_rows_both_had_in_hand() {
        let mut failed = vec![crash(&[0..8, 8..16], false)];
        assert!(is_suspected(&failed) && try_alone(&failed).is_empty());
        failed.push(crash(&[8..16, 16..24], false));
        assert_eq!(try_alone(&failed), [8..16]);
        failed.push(crash(&[40..48], false));
        assert_eq!(try_alone(&failed), [0..8, 8..16, 8..16, 16..24, 40..48], "nothing in common: all are suspects");
        assert_eq!(used(&failed), 3);
    }

    #[test]
    fn a_row_that_dies_alone_is_set_aside_and_explains_the_deaths_before() {
        let failed = [crash(&[0..8], false), crash(&[0..8], false), crash(&[5..6], true), crash(&[8..16], false)];
        assert_eq!(set_aside(&failed), [5]);
        assert_eq!(used(&failed), 1, "the last death is another row's");
        assert!(is_suspected(&failed) && try_alone(&failed).is_empty());
        assert!(!is_suspected(&failed[..3]));
    }

    #[test]
    fn a_shard_whose_rows_all_end_the_process_runs_out_of_attempts() {
        let failed: Vec<Failed> = (0..40).map(|row| crash(&[row..row + 1], true)).collect();
        assert_eq!((set_aside(&failed).len(), used(&failed)), (16, 24));
    }

    #[test]
    fn a_death_with_nothing_in_hand_suspects_no_row() {
        let failed = vec![crash(&[], false); 3];
        assert!(!is_suspected(&failed) && try_alone(&failed).is_empty());
        assert_eq!(used(&failed), 3);
    }
}
