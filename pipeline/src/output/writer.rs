//! Writer of the tables of one attempt.

use super::{JudgedRows, PairsWriter, WriteError, quarantine_table, upload::Upload};
use arrow::datatypes::Field;
use capfilt_schemas::{
    commit::Output,
    ledger,
    object_keys::{self, AttemptId, Table},
    plan::ShardId,
    quarantine, settings,
    tally::Tally,
    texts::OptionalColumns,
};
use capfilt_store::Location;

/// Outputs of an attempt, as its commit records them.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The stored tables.
    pub outputs: Vec<Output>,
    /// Tally over the ledger.
    pub tally: Tally,
}

/// Writes ledger, pairs and quarantine of one attempt.
///
/// Memory: per table one open row group (at most 128 MB) and one upload part (8 MB); the pairs as
/// [`PairsWriter`]. The ledger is always written; the other tables only if they have a row.
pub struct ShardWriter {
    bucket: Location,
    shard: ShardId,
    attempt: AttemptId,
    optional: OptionalColumns,
    ledger: Upload,
    pairs: PairsWriter,
    quarantine: Option<Upload>,
    tally: Tally,
}

impl ShardWriter {
    /// Opens the ledger, with optional columns; the other tables are opened with their first row.
    pub fn create(
        bucket: &Location,
        shard: &ShardId,
        attempt: &AttemptId,
        passthrough: &[Field],
        settings: &settings::Output,
        optional: OptionalColumns,
    ) -> Result<Self, WriteError> {
        let path = object_keys::output(shard, attempt, Table::Ledger);
        Ok(Self {
            bucket: bucket.clone(),
            shard: shard.clone(),
            attempt: attempt.clone(),
            ledger: Upload::create(bucket, Table::Ledger, path, ledger::schema_with(optional))?,
            optional,
            pairs: PairsWriter::new(
                bucket,
                object_keys::pairs(shard, attempt),
                passthrough,
                settings,
                optional,
            ),
            quarantine: None,
            tally: Tally::default(),
        })
    }

    /// Appends rows, in the input's order.
    pub async fn write(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        rows.ledger.iter().for_each(|row| self.tally.add(row));
        self.ledger.write(ledger::batch_with(&rows.ledger, self.optional)).await?;
        self.pairs.write(rows).await?;
        if rows.ledger.iter().any(|row| row.status.is_quarantined()) {
            self.open_quarantine()?.write(quarantine_table::batch(rows)).await?;
        }
        Ok(())
    }

    /// The tally so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Finishes all tables. When this returns, they are stored completely; they count only after a commit
    /// names them.
    pub async fn finish(self) -> Result<Written, WriteError> {
        let mut outputs = vec![self.ledger.finish().await?];
        outputs.extend(self.pairs.finish().await?);
        if let Some(quarantine) = self.quarantine {
            outputs.push(quarantine.finish().await?);
        }
        Ok(Written { outputs, tally: self.tally })
    }

    fn open_quarantine(&mut self) -> Result<&mut Upload, WriteError> {
        if self.quarantine.is_none() {
            let path = object_keys::output(&self.shard, &self.attempt, Table::Quarantine);
            let opened = Upload::create(&self.bucket, Table::Quarantine, path, quarantine::schema())?;
            self.quarantine = Some(opened);
        }
        Ok(self.quarantine.as_mut().expect("it was just opened"))
    }
}
