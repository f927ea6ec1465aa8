//! Truth of every text of a job, as the table that `capfilt report --truth` reads.

use crate::{
    score::{Judgement, Score},
    table::properties,
};
use arrow::{
    array::{ArrayRef, BooleanBuilder, ListBuilder, RecordBatch, StringBuilder},
    error::ArrowError,
};
use parquet::{arrow::ArrowWriter, errors::ParquetError};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Key, truth of the web text, and truths of the captions of each judged row. Memory: about 50 bytes per row.
#[derive(Debug, Default)]
pub struct TruthTable {
    keys: StringBuilder,
    web: BooleanBuilder,
    synthetic: ListBuilder<BooleanBuilder>,
}

/// The table cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct WriteError {
    path: PathBuf,
    source: ParquetError,
}

impl TruthTable {
    /// Adds a row that the score knows; a row that was not judged is left out.
    pub fn add(&mut self, row: &Judgement, score: &Score) {
        if !row.is_judged {
            return;
        }
        self.keys.append_value(&row.key);
        self.web.append_value(score.is_true(&row.key, &row.web.text));
        let captions = row.synthetic.iter().map(|caption| Some(score.is_true(&row.key, &caption.text)));
        self.synthetic.append_value(captions);
    }

    /// Writes the table as a Parquet file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(mut self, path: &Path) -> Result<(), WriteError> {
        let fail = |source| WriteError { path: path.to_owned(), source };
        let batch = self.batch().map_err(|error| fail(error.into()))?;
        let write = |batch: &RecordBatch| {
            let file = File::create(path)?;
            let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties()))?;
            writer.write(batch)?;
            writer.close()
        };
        write(&batch).map(drop).map_err(fail)
    }

    fn batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: [(&str, ArrayRef); 3] = [
            ("key", Arc::new(self.keys.finish())),
            ("caption", Arc::new(self.web.finish())),
            ("synthetic", Arc::new(self.synthetic.finish())),
        ];
        RecordBatch::try_from_iter(columns)
    }
}
