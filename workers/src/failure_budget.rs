//! Failure budget: a shard in which too many rows fail with one status is not committed.
//!
//! A broken decoder or store fails every row of every shard; without a budget such a job would end as "done".

use crate::fault::Fault;
use capfilt_schemas::{failure::FailureClass, status::RowStatus, tally::Tally};

/// Fewer failures with a status never exceed the budget, so that small shards may have a few bad rows.
const AT_LEAST: u64 = 20;

/// The fault of a shard whose failures exceed the budget, a share of its selected rows.
pub(crate) fn exceeded(tally: &Tally, failure_budget: f64) -> Option<Fault> {
    let without_image = RowStatus::ALL.iter().filter(|status| status.is_without_image());
    let selected = tally.rows_total() - without_image.map(|status| tally.count(*status)).sum::<u64>();
    let allowed = (failure_budget * selected as f64) as u64;
    let mut failing = RowStatus::ALL.iter().copied().filter(|status| status.counts_as_failure());
    let status = failing.find(|status| tally.count(*status) > allowed.max(AT_LEAST - 1))?;
    let message = format!(
        "{} of {selected} rows are {status}, more than limits.failure_budget = {failure_budget} allows; \
         examine some of these images, then repair the input or raise the budget in a new job",
        tally.count(status)
    );
    Some(Fault { class: FailureClass::FailureBudget, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_of_one_class_trip_the_breaker_and_a_few_do_not() {
        let tally = |undecodable, missing, judged| Tally {
            rows: [
                (RowStatus::ImageUndecodable, undecodable),
                (RowStatus::ImageMissing, missing),
                (RowStatus::Judged, judged),
            ]
            .into(),
            ..Tally::default()
        };
        assert!(exceeded(&tally(51, 0, 949), 0.05).is_some());
        assert!(exceeded(&tally(50, 0, 950), 0.05).is_none());
        assert!(exceeded(&tally(19, 0, 0), 0.05).is_none(), "a small shard");
        assert!(
            exceeded(&tally(0, 900, 100), 0.05).is_none(),
            "an image that was never fetched is not a failure here"
        );
        let with_links = |dead| {
            let mut tally = tally(51, 0, 949);
            tally.rows.extend([(RowStatus::ImageUnreachable, dead), (RowStatus::ImageRefused, dead)]);
            tally
        };
        assert!(exceeded(&with_links(10_000), 0.05).is_some(), "dead links do not hide a broken decoder");
        let dead = Tally { rows: [(RowStatus::ImageUnreachable, 900)].into(), ..Tally::default() };
        assert!(exceeded(&dead, 0.05).is_none(), "dead links are usual");
    }
}
