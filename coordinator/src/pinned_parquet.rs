//! A pinned object as the Parquet reader wants it, keeping the bucket's own errors apart from the file's.

use bytes::Bytes;
use capfilt_bucket::{BucketError, PinnedObject};
use futures::{FutureExt as _, future::BoxFuture};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use std::{ops::Range, sync::Arc};

/// Read with the first request; the footers of image files are nearly always smaller, so one request does.
const FOOTER_BYTES: usize = 64 << 10;

pub(crate) struct PinnedParquet(pub PinnedObject);

impl AsyncFileReader for PinnedParquet {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { self.0.range(range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.0.ranges(&ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.0.bytes;
            let reader =
                ParquetMetaDataReader::new().with_arrow_reader_options(options).with_prefetch_hint(Some(FOOTER_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}

fn external(error: BucketError) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Tells the store's failure (the error) from the file's own fault (the text).
pub(crate) fn fault_of_file(error: ParquetError) -> std::result::Result<String, BucketError> {
    match error {
        ParquetError::External(source) => match source.downcast::<BucketError>() {
            Ok(error) => Err(*error),
            Err(other) => Ok(format!("not readable as Parquet: {other}")),
        },
        error => Ok(format!("not readable as Parquet: {error}")),
    }
}
