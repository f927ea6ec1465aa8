//! Reads the footer of one Parquet file: its schema and row groups, without its data.

use super::columns::{Column, of_field};
use crate::plan::{
    PlanError,
    contents::{Contents, EMPTY, Unit, of_file},
};
use capfilt_schemas::plan::{InputFile, Part};
use capfilt_store::{Location, PinnedObject, StoreError, footer};
use parquet::{
    errors::ParquetError,
    file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData},
};
use std::sync::Arc;

/// Reads the footer. The inner error is the reason why the file is refused; the outer error is a failure of
/// the store, from which nothing follows about the file.
pub async fn read(input: &Location, file: &InputFile) -> Result<Result<Contents, String>, PlanError> {
    if file.bytes == 0 {
        return Ok(Err(EMPTY.to_owned()));
    }
    let read = PinnedObject::new(input, file).footer().await;
    of_file(
        file,
        match read.and_then(|footer| describe(&footer, file.bytes)).map_err(parquet_fault) {
            Ok(footer) => Ok(Ok(footer)),
            Err(Ok(fault)) => Ok(Err(fault)),
            Err(Err(error)) => Err(error),
        },
    )
}

/// Columns of the schema. The inner error is the reason why the file cannot be read.
pub async fn columns(input: &Location, file: &InputFile) -> Result<Result<Vec<Column>, String>, PlanError> {
    let contents = read(input, file).await?;
    Ok(contents.map(|contents| contents.schema.fields().iter().map(|field| of_field(field)).collect()))
}

fn describe(footer: &footer::Footer, file_bytes: u64) -> Result<Contents, ParquetError> {
    let schema = footer::promised(footer.schema())?;
    let encrypted = footer.encrypted_columns().into_iter().map(str::to_owned).collect();
    let metadata: ParquetMetaData = footer.decode(Arc::clone(footer.schema()))?;
    let group = |(number, group): (u32, &RowGroupMetaData)| {
        let negative =
            |_| ParquetError::General(format!("the footer gives a row group {} rows", group.num_rows()));
        let rows = u64::try_from(group.num_rows()).map_err(negative)?;
        let bytes =
            group.columns().iter().map(|column| bytes_of(column, file_bytes)).sum::<Result<u64, _>>()?;
        Ok(Unit { part: Part::RowGroups(number..number + 1), rows, bytes })
    };
    let units = (0..).zip(metadata.row_groups()).map(group).collect::<Result<_, ParquetError>>()?;
    Ok(Contents { schema, encrypted, units, rows_exact: true, warnings: Vec::new() })
}

/// Length of a column chunk. The chunk must lie within the file, because the reader of the rows trusts the
/// footer.
fn bytes_of(column: &ColumnChunkMetaData, file_bytes: u64) -> Result<u64, ParquetError> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let (start, length) = (u64::try_from(start).ok(), u64::try_from(column.compressed_size()).ok());
    let end = start.zip(length).and_then(|(start, length)| start.checked_add(length));
    match (length, end) {
        (Some(length), Some(end)) if end <= file_bytes => Ok(length),
        _ => Err(ParquetError::General(format!(
            "the footer places column `{}` outside the file of {file_bytes} bytes: was the file \
             cut?",
            column.column_path().string()
        ))),
    }
}

/// Separates the store's failure (the error) from a fault of the file itself (the text).
pub(crate) fn parquet_fault(error: ParquetError) -> Result<String, StoreError> {
    match error {
        ParquetError::External(source) => match source.downcast::<StoreError>() {
            Ok(error) => Err(*error),
            Err(other) => Ok(format!("not readable as Parquet: {other}")),
        },
        error => Ok(format!("not readable as Parquet: {error}")),
    }
}
