//! One file's footer: its schema and row groups, read without its data.

use crate::{PlanError, cut::RowGroup};
use arrow::datatypes::Schema;
use bytes::Bytes;
use capfilt_bucket::{BucketError, PinnedObject, Place};
use capfilt_schemas::plan::InputFile;
use futures::{FutureExt as _, future::BoxFuture};
use parquet::{
    arrow::{async_reader::MetadataFetch, parquet_to_arrow_schema},
    errors::ParquetError,
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use std::ops::Range;

/// Read with the first request; footers of image files are nearly always smaller, so one request does.
const FOOTER_BYTES: usize = 64 << 10;

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
    let pinned = PinnedObject::new(input, file);
    let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES));
    let loaded = reader.load_and_finish(&mut Ranges(pinned), file.bytes).await;
    match loaded.and_then(|metadata| describe(&metadata)) {
        Ok(footer) => Ok(Ok(footer)),
        Err(ParquetError::External(source)) => match source.downcast::<BucketError>() {
            Ok(error) if error.is_changed() || error.is_not_found() => Err(PlanError::Moving(file.path.clone())),
            Ok(error) => Err(PlanError::Bucket(*error)),
            Err(other) => Ok(Err(format!("not readable as Parquet: {other}"))),
        },
        Err(error) => Ok(Err(format!("not readable as Parquet: {error}"))),
    }
}

fn describe(metadata: &ParquetMetaData) -> Result<Footer, ParquetError> {
    let file = metadata.file_metadata();
    let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())?;
    let positive = |n: i64| u64::try_from(n).map_err(|_| ParquetError::General(format!("a row group says it has {n} rows or bytes")));
    let group = |group: &parquet::file::metadata::RowGroupMetaData| {
        let bytes = group.columns().iter().map(|column| positive(column.compressed_size())).sum::<Result<u64, _>>()?;
        Ok(RowGroup { rows: positive(group.num_rows())?, bytes })
    };
    Ok(Footer { schema, groups: metadata.row_groups().iter().map(group).collect::<Result<_, ParquetError>>()? })
}

/// Lets the Parquet reader read through a pin, keeping the bucket's own error.
struct Ranges(PinnedObject);

impl MetadataFetch for &mut Ranges {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.0.range(range).await.map_err(|error| ParquetError::External(Box::new(error))) }.boxed()
    }
}
