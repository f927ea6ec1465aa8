//! Writer of the tables of one attempt.

use super::{JudgedRows, WriteError, pairs_table, pairs_tar::TarUpload, quarantine_table, upload::Upload};
use arrow::datatypes::{Field, SchemaRef};
use capfilt_schemas::{
    commit::Output,
    ledger::{self, LedgerRow},
    object_keys::{self, AttemptId, Table},
    plan::ShardId,
    quarantine,
    settings::{self, PairsFormat},
    tally::Tally,
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
/// Memory: per table one open row group (at most 128 MB; of a tar one sample and 1 MiB) and one upload part
/// (8 MB). The ledger is always written; the other tables only if they have a row.
pub struct ShardWriter {
    bucket: Location,
    shard: ShardId,
    attempt: AttemptId,
    settings: settings::Output,
    /// Numbers of each vector of the ledger, if it has vectors.
    embeddings: Option<usize>,
    pairs_schema: SchemaRef,
    ledger: Upload,
    pairs: Option<Upload>,
    /// The pairs of a job that writes tars.
    tar: Option<TarUpload>,
    quarantine: Option<Upload>,
    tally: Tally,
}

impl ShardWriter {
    /// Opens the ledger, with vectors of `embeddings` numbers; the other tables are opened with their first
    /// row.
    pub fn create(
        bucket: &Location,
        shard: &ShardId,
        attempt: &AttemptId,
        passthrough: &[Field],
        settings: &settings::Output,
        embeddings: Option<usize>,
    ) -> Result<Self, WriteError> {
        let path = object_keys::output(shard, attempt, Table::Ledger);
        Ok(Self {
            bucket: bucket.clone(),
            shard: shard.clone(),
            attempt: attempt.clone(),
            settings: settings.clone(),
            pairs_schema: pairs_table::schema(passthrough),
            ledger: Upload::create(bucket, Table::Ledger, path, ledger::schema_with(embeddings))?,
            embeddings,
            pairs: None,
            tar: None,
            quarantine: None,
            tally: Tally::default(),
        })
    }

    /// Appends rows, in the input's order.
    pub async fn write(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        rows.ledger.iter().for_each(|row| self.tally.add(row));
        self.ledger.write(ledger::batch_with(&rows.ledger, self.embeddings)).await?;
        match self.settings.format {
            PairsFormat::Parquet => self.write_pairs(rows).await?,
            PairsFormat::Webdataset => self.write_samples(rows).await?,
        }
        if rows.ledger.iter().any(|row| row.status.is_quarantined()) {
            self.open(Table::Quarantine, quarantine::schema())?.write(quarantine_table::batch(rows)).await?;
        }
        Ok(())
    }

    async fn write_pairs(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        let schema = SchemaRef::clone(&self.pairs_schema);
        for batch in pairs_table::batches(&schema, rows, self.settings.images) {
            self.open(Table::Pairs, SchemaRef::clone(&schema))?.write(batch).await?;
        }
        Ok(())
    }

    async fn write_samples(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        if !rows.ledger.iter().any(LedgerRow::keeps_a_text) {
            return Ok(());
        }
        let path = object_keys::pairs_tar(&self.shard, &self.attempt);
        let open = || TarUpload::create(&self.bucket, path);
        self.tar.get_or_insert_with(open).write(rows).await
    }

    /// The tally so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Finishes all tables. When this returns, they are stored completely; they count only after a commit
    /// names them.
    pub async fn finish(self) -> Result<Written, WriteError> {
        let mut outputs = vec![self.ledger.finish().await?];
        if let Some(tar) = self.tar {
            outputs.push(tar.finish().await?);
        }
        for upload in [self.pairs, self.quarantine].into_iter().flatten() {
            outputs.push(upload.finish().await?);
        }
        Ok(Written { outputs, tally: self.tally })
    }

    fn open(&mut self, table: Table, schema: SchemaRef) -> Result<&mut Upload, WriteError> {
        let slot = if table == Table::Pairs { &mut self.pairs } else { &mut self.quarantine };
        if slot.is_none() {
            let path = object_keys::output(&self.shard, &self.attempt, table);
            *slot = Some(Upload::create(&self.bucket, table, path, schema)?);
        }
        Ok(slot.as_mut().expect("it was just opened"))
    }
}
