//! One file's footer: its schema and row groups, read without its data.

use crate::{
    PlanError,
    cut::RowGroup,
    pinned_parquet::{PinnedParquet, fault_of_file},
};
use arrow::datatypes::Schema;
use capfilt_bucket::{PinnedObject, Place};
use capfilt_schemas::plan::InputFile;
use parquet::{
    arrow::{async_reader::AsyncFileReader as _, parquet_to_arrow_schema},
    errors::ParquetError,
    file::metadata::{ParquetMetaData, RowGroupMetaData},
};

/// What a plan needs of a footer.
#[derive(Debug)]
pub struct Footer {
    pub schema: Schema,
    pub groups: Vec<RowGroup>,
}

/// The footer, or why the file is none of ours; the outer error is the store's, and says nothing about the file.
pub async fn read(input: &Place, file: &InputFile) -> Result<Result<Footer, String>, PlanError> {
    if file.bytes == 0 {
        return Ok(Err("the file is empty (0 bytes): was its writer interrupted?".to_owned()));
    }
    let loaded = PinnedParquet(PinnedObject::new(input, file)).get_metadata(None).await;
    match loaded.and_then(|metadata| describe(&metadata)).map_err(fault_of_file) {
        Ok(footer) => Ok(Ok(footer)),
        Err(Ok(fault)) => Ok(Err(fault)),
        Err(Err(error)) if error.is_changed() || error.is_not_found() => Err(PlanError::Moving(file.path.clone())),
        Err(Err(error)) => Err(error.into()),
    }
}

fn describe(metadata: &ParquetMetaData) -> Result<Footer, ParquetError> {
    let file = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
    let negative = |n: i64| ParquetError::General(format!("a row group says it has {n} rows or bytes"));
    let positive = |n: i64| u64::try_from(n).map_err(|_| negative(n));
    let group = |group: &RowGroupMetaData| {
        let bytes = group.columns().iter().map(|column| positive(column.compressed_size())).sum::<Result<u64, _>>()?;
        Ok(RowGroup { rows: positive(group.num_rows())?, bytes })
    };
    Ok(Footer { schema, groups: metadata.row_groups().iter().map(group).collect::<Result<_, ParquetError>>()? })
}
