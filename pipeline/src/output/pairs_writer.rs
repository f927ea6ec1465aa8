//! Writer of the pairs of one shard, in the format of the settings.

use super::{JudgedRows, WriteError, pairs_table, pairs_tar::TarUpload, upload::Upload};
use arrow::datatypes::{Field, SchemaRef};
use capfilt_schemas::{
    commit::Output,
    ledger::LedgerRow,
    object_keys::{self, Table},
    settings::{self, PairsFormat},
    texts::OptionalColumns,
};
use capfilt_store::Location;

/// Writes the pairs of one shard; the object is opened with the first pair.
///
/// Memory: one open row group (at most 128 MB; of a tar one sample and 1 MiB) and one upload part (8 MB).
pub struct PairsWriter {
    bucket: Location,
    /// Path of the object, without the extension of the format.
    path: String,
    settings: settings::Output,
    schema: SchemaRef,
    table: Option<Upload>,
    tar: Option<TarUpload>,
}

impl PairsWriter {
    /// A writer of the object `path`, to which it adds the extension of the format.
    pub fn new(
        bucket: &Location,
        path: String,
        passthrough: &[Field],
        settings: &settings::Output,
        optional: OptionalColumns,
    ) -> Self {
        let (schema, settings) = (pairs_table::schema(passthrough, optional), settings.clone());
        Self { bucket: bucket.clone(), path, settings, schema, table: None, tar: None }
    }

    /// Appends the rows that keep a text.
    ///
    /// # Errors
    /// The store fails, or the values of the rows do not fit into a table.
    pub async fn write(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        match self.settings.format {
            PairsFormat::Parquet => self.write_table(rows).await,
            PairsFormat::Webdataset => self.write_samples(rows).await,
        }
    }

    async fn write_table(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        let schema = SchemaRef::clone(&self.schema);
        for batch in pairs_table::batches(&schema, rows, self.settings.images) {
            if self.table.is_none() {
                let path = format!("{}{}", self.path, object_keys::PARQUET);
                self.table =
                    Some(Upload::create(&self.bucket, Table::Pairs, path, SchemaRef::clone(&schema))?);
            }
            self.table.as_mut().expect("it was just opened").write(batch).await?;
        }
        Ok(())
    }

    async fn write_samples(&mut self, rows: &JudgedRows) -> Result<(), WriteError> {
        if !rows.ledger.iter().any(LedgerRow::keeps_a_text) {
            return Ok(());
        }
        let path = || format!("{}{}", self.path, object_keys::TAR);
        let open = || TarUpload::create(&self.bucket, path());
        self.tar.get_or_insert_with(open).write(rows).await
    }

    /// Finishes the object; `None` without pairs. When this returns, the whole object is stored.
    ///
    /// # Errors
    /// The store fails.
    pub async fn finish(self) -> Result<Option<Output>, WriteError> {
        match (self.table, self.tar) {
            (Some(table), _) => table.finish().await.map(Some),
            (None, Some(tar)) => tar.finish().await.map(Some),
            (None, None) => Ok(None),
        }
    }
}
