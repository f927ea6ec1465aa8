//! Rows of a shard that are skipped: rows that ended a process and, in a repair, rows that keep their result.

use crate::fault::Fault;
use capfilt_pipeline::{
    input::{EarlierImage, EarlierImages},
    output::each_of_ledger,
    prepare::Skip,
};
use capfilt_schemas::{
    commit::{Commit, Output},
    failure::FailureClass,
    job::JobDigest,
    ledger::LedgerRow,
    object_keys::{self, Table},
    status::RowStatus,
    texts::WEB,
    worker_protocol::Assignment,
};
use capfilt_store::{Location, StoreError, foreign};
use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    sync::Arc,
};

/// Rows to skip, by their number in the file. Memory: a repaired shard's ledger, about a kilobyte per row.
#[derive(Debug, Default)]
pub(crate) struct SkipList {
    /// Rows that ended a process, each with the failure class if it is known.
    set_aside: BTreeMap<u64, Option<FailureClass>>,
    earlier: HashMap<u64, LedgerRow>,
    /// Tables of the earlier results.
    tables: Vec<Output>,
}

impl SkipList {
    /// Reads the rows to skip; for a repair, it reads the ledger of the repaired commit.
    pub(crate) async fn of(
        bucket: &Location,
        job: &JobDigest,
        columns: &[Arc<str>],
        assignment: &Assignment,
    ) -> Result<Self, Fault> {
        let why = assignment.set_aside_for.iter().copied().map(Some).chain(std::iter::repeat(None));
        let set_aside = assignment.set_aside.iter().copied().zip(why).collect();
        let mut skip_list = Self { set_aside, ..Self::default() };
        if let (Some(repair), Some(n)) = (&assignment.repair, assignment.commit_n.checked_sub(1)) {
            let name = object_keys::commit(&assignment.shard.id, n);
            let commit: Commit = bucket.read_record(&name).await?;
            if let Some(why) = job.foreign(commit.job.as_ref()) {
                return Err(StoreError::Refused(foreign(&bucket.url_of(&name), &why)).into());
            }
            skip_list.tables.clone_from(&commit.outputs);
            let ledger = commit.outputs.iter().find(|output| output.table == Table::Ledger);
            let keep = |row: LedgerRow| {
                if !repair.statuses.contains(&row.status) {
                    let row = named(without_long_texts(row), columns);
                    skip_list.earlier.insert(row.row, row);
                }
            };
            if let Some(ledger) = ledger {
                let read = each_of_ledger(bucket, ledger, ledger.rows as usize, keep).await;
                read.map_err(|error| Fault { class: FailureClass::Unreadable, message: error.to_string() })?;
            }
        }
        Ok(skip_list)
    }

    /// Rows of a committed ledger that ended a process: a second computation must skip these rows too.
    pub(crate) fn by_ledger(ledger: &[LedgerRow]) -> Self {
        let crashed = ledger.iter().filter(|row| row.status == RowStatus::Crashed);
        Self { set_aside: crashed.map(|row| (row.row, None)).collect(), ..Self::default() }
    }

    /// Images of the rows that keep their result, for a job whose links are not fetched again.
    pub(crate) fn earlier_images(&self, bucket: &Location, only: Option<&[Range<u64>]>) -> EarlierImages {
        let table = |wanted| self.tables.iter().find(|output| output.table == wanted).cloned();
        let image = |row: &LedgerRow| match row.status {
            _ if row.keeps_a_text() => EarlierImage::Pairs,
            status if status.is_quarantined() => EarlierImage::Quarantine,
            _ => EarlierImage::NotNeeded,
        };
        EarlierImages {
            job: Some(bucket.clone()),
            pairs: table(Table::Pairs),
            quarantine: table(Table::Quarantine),
            rows: self.earlier.iter().map(|(row, earlier)| (*row, image(earlier))).collect(),
            only: only.map(<[_]>::to_vec),
        }
    }

    /// Reason for skipping a row; `None` if the row is processed.
    pub(crate) fn skip(&self, row: u64) -> Option<Skip> {
        if let Some(row) = self.earlier.get(&row) {
            return Some(Skip::Settled(Box::new(row.clone())));
        }
        let detail = match self.set_aside.get(&row)? {
            Some(FailureClass::WorkerMemory) => {
                "the kernel killed the worker process, out of memory, with this row alone in it"
            }
            Some(FailureClass::WorkerHung) => "the worker process hung with this row alone in it",
            Some(FailureClass::WorkerKilled) => {
                "the worker process was killed each time with this row alone in it"
            }
            _ => "the worker process crashed with this row alone in it",
        };
        Some(Skip::For { status: RowStatus::Crashed, detail: Some(detail.to_owned()) })
    }
}

/// Most bytes of a kept text of the input. A longer text is read again with its row.
const KEPT_TEXT: usize = 4 << 10;

fn without_long_texts(mut row: LedgerRow) -> LedgerRow {
    let inputs = row.texts.iter_mut().filter(|text| !text.is_synthetic());
    inputs.for_each(|text| text.text = text.text.take_if(|text| text.len() <= KEPT_TEXT));
    row
}

/// Gives the text of the input its column's name, which a ledger of version 1 does not contain. Jobs with
/// several text columns have ledgers of later versions.
pub(crate) fn named(mut row: LedgerRow, columns: &[Arc<str>]) -> LedgerRow {
    if let [column] = columns {
        row.rename_source(WEB, column);
    }
    row
}
