//! Small input files: some rows of those in `tests/data/web`, in row groups of any size.

use super::repo;
use parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    file::properties::WriterProperties,
};
use std::{fs::File, path::Path};

/// Writes the first rows of one of the files of `tests/data/web`.
pub fn first_rows(file: &str, rows: usize, rows_per_group: usize, to: &Path) {
    let from = File::open(repo().join("tests/data/web").join(file)).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(from)
        .unwrap()
        .with_batch_size(rows)
        .with_limit(rows)
        .build()
        .unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.num_rows(), rows);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows_per_group)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(to).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
