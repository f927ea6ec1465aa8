//! What of a shard is not to be touched: rows that ended a process, and in a repair, rows whose result stands.

use crate::failing::Fault;
use capfilt_bucket::Bucket;
use capfilt_pipeline::{output::read_ledger, prepare::Skip};
use capfilt_schemas::{
    commit::Commit,
    failure::FailureClass,
    ledger::LedgerRow,
    names::{self, Table},
    pipe::Assignment,
    status::RowStatus,
};
use std::collections::{BTreeSet, HashMap};

/// Rows by their number in the file. Memory: a repaired shard's ledger, about a kilobyte per row.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    set_aside: BTreeSet<u64>,
    earlier: HashMap<u64, LedgerRow>,
}

impl Settled {
    /// Reads the ledger of the commit that is to be repaired, if one is.
    pub(crate) async fn of(bucket: &Bucket, assignment: &Assignment) -> Result<Self, Fault> {
        let mut settled = Self { set_aside: assignment.set_aside.iter().copied().collect(), ..Self::default() };
        if let (Some(repair), Some(n)) = (&assignment.repair, assignment.commit_n.checked_sub(1)) {
            let commit: Commit = bucket.read_record(&names::commit(&assignment.shard.id, n)).await?;
            let ledger = commit.outputs.iter().find(|output| output.table == Table::Ledger);
            let rows = match ledger {
                Some(ledger) => read_ledger(bucket, ledger, assignment.shard.rows as usize)
                    .await
                    .map_err(|error| Fault { class: FailureClass::Unreadable, message: error.to_string() })?,
                None => Vec::new(),
            };
            let stands = rows.into_iter().filter(|row| !repair.statuses.contains(&row.status));
            settled.earlier = stands.map(|row| (row.row, row)).collect();
        }
        Ok(settled)
    }

    /// Rows of a committed ledger that ended a process: whoever judges the shard again had better not touch them either.
    pub(crate) fn by_ledger(ledger: &[LedgerRow]) -> Self {
        let crashed = ledger.iter().filter(|row| row.status == RowStatus::Crashed);
        Self { set_aside: crashed.map(|row| row.row).collect(), ..Self::default() }
    }

    /// Why a row is not looked at; `None` when it is.
    pub(crate) fn skip(&self, row: u64) -> Option<Skip> {
        if let Some(row) = self.earlier.get(&row) {
            return Some(Skip::Settled(Box::new(row.clone())));
        }
        let detail = || Some("it ended its worker's process, alone".to_owned());
        self.set_aside.contains(&row).then(|| Skip::For { status: RowStatus::Crashed, detail: detail() })
    }
}
