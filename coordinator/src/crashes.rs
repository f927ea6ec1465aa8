//! What a shard's crashes tell: which rows end the process, and which attempts that explains.
//!
//! A process that dies of its own, is ended for want of memory or falls silent leaves the rows it had in hand. One such
//! death may be anything; after the second, every suspected row is tried alone before the shard is begun again, so that the
//! next death names its row. (Halving the range would need a death, and a process with its models, for every halving.)
//! Named rows are set aside and the shard is done without them; the deaths they explain use up no attempt.
//!
//! A kill from outside says little: schedulers do that. Two of them with the same rows in hand are a suspicion, and it
//! takes two of a row that is alone to name it.
//!
//! All of it follows from the failures on record, so whoever does the next attempt, anywhere, comes to the same.

use crate::standing::uses_an_attempt;
use capfilt_schemas::failure::{Crash, Failure, FailureClass};
use std::{collections::BTreeMap, ops::Range};

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

/// Rows that ended a process while they were alone in it, in order, with how they did.
pub fn set_aside(failed: &[Failed]) -> BTreeMap<u64, FailureClass> {
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
fn alone(one: &Failed) -> Option<u64> {
    one.crash.as_ref().filter(|crash| crash.alone)?.rows.first().map(|rows| rows.start)
}

fn alone_is(one: &Failed, row: u64) -> bool {
    alone(one) == Some(row)
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

/// Deaths that no named row explains and that say something of the rows in hand.
fn unexplained(failed: &[Failed]) -> impl Iterator<Item = &Crash> {
    let guilty = set_aside(failed);
    let open =
        |one: &Failed| one.crash.as_ref().is_some_and(|crash| !crash.rows.is_empty() && !explains(&guilty, crash));
    let open: Vec<&Failed> = failed.iter().filter(|one| open(one)).collect();
    let speaks: Vec<bool> = (0..open.len())
        .map(|at| {
            open[at].class.counts() || (0..open.len()).any(|other| other != at && shares_rows(open[at], open[other]))
        })
        .collect();
    let speaking = open.into_iter().zip(speaks).filter(|(_, speaks)| *speaks);
    speaking.filter_map(|(one, _)| one.crash.as_ref()).collect::<Vec<_>>().into_iter()
}

fn shares_rows(a: &Failed, b: &Failed) -> bool {
    let rows = |one: &Failed| one.crash.as_ref().map_or(Vec::new(), |crash| crash.rows.clone());
    let theirs = rows(b);
    rows(a).iter().any(|a| theirs.iter().any(|b| a.start.max(b.start) < a.end.min(b.end)))
}

fn explains(guilty: &BTreeMap<u64, FailureClass>, crash: &Crash) -> bool {
    guilty.keys().any(|row| crash.rows.iter().any(|rows| rows.contains(row)))
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a range is what is meant
mod tests {
    use super::*;

    fn crash(rows: &[Range<u64>], alone: bool) -> Failed {
        Failed { class: FailureClass::WorkerCrashed, crash: Some(Crash { rows: rows.to_vec(), alone }) }
    }

    fn kill(rows: &[Range<u64>], alone: bool) -> Failed {
        Failed { class: FailureClass::WorkerKilled, ..crash(rows, alone) }
    }

    fn named(failed: &[Failed]) -> Vec<u64> {
        set_aside(failed).into_keys().collect()
    }

    #[test]
    fn a_second_kill_with_the_same_rows_in_hand_is_a_suspicion_and_two_of_a_row_alone_name_it() {
        let mut failed = vec![kill(&[0..8], false), kill(&[8..16], false)];
        assert!(!is_suspected(&failed) && try_alone(&failed).is_empty(), "kills as schedulers do");
        failed.push(kill(&[4..12], false));
        assert!(is_suspected(&failed));
        assert_eq!(try_alone(&failed), [8..12]);
        failed.push(kill(&[9..10], true));
        assert_eq!((named(&failed), try_alone(&failed)), (vec![], vec![9..10]), "it may be a scheduler still");
        failed.push(kill(&[9..10], true));
        assert_eq!((named(&failed), used(&failed)), (vec![9], 0));
        assert!(!is_suspected(&failed), "a lone kill is left, and says nothing");
    }

    #[test]
    fn want_of_memory_and_silence_are_deaths_as_any_other() {
        for class in [FailureClass::WorkerMemory, FailureClass::WorkerHung] {
            let of = |rows: Range<u64>, alone| Failed { class, ..crash(&[rows], alone) };
            let mut failed = vec![of(0..8, false), of(0..8, false)];
            assert_eq!((try_alone(&failed), used(&failed)), (vec![0..8], 2));
            failed.push(of(3..4, true));
            assert_eq!((set_aside(&failed), used(&failed)), ([(3, class)].into(), 0));
        }
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
        assert_eq!(named(&failed), [5]);
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
