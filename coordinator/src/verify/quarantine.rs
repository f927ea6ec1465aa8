//! Compares the quarantine with the ledger: equal rows and equal statuses.

use super::table::{Batches, Faults};
use capfilt_schemas::{commit::Output, quarantine, status::RowStatus};
use capfilt_store::{Location, StoreError};

pub(super) async fn check(
    bucket: &Location,
    output: &Output,
    expected: &[(u64, RowStatus)],
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let Some(mut batches) = Batches::open(bucket, output, quarantine::schema_of, faults).await? else {
        return Ok(());
    };
    let mut found = Vec::new();
    while let Some(batch) = batches.next(faults).await? {
        found.extend(quarantine::rows(&batch).map(|row| (row.row, RowStatus::parse(row.status))));
    }
    let is_same = found.iter().copied().eq(expected.iter().map(|(row, status)| (*row, Some(*status))));
    faults.add_if(!is_same, || {
        format!("its {} rows are not the {} quarantined rows of the ledger", found.len(), expected.len())
    });
    Ok(())
}
