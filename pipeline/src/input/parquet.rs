//! A pinned object as the Parquet reader wants it.

use ::parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use bytes::Bytes;
use capfilt_bucket::PinnedObject;
use futures::{FutureExt as _, future::BoxFuture};
use std::{ops::Range, sync::Arc};

/// Whole row groups are fetched before they are decoded: a store gives up on readers that make it wait.
pub(super) struct PinnedParquet(pub PinnedObject);

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
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}

fn external(error: capfilt_bucket::BucketError) -> ParquetError {
    ParquetError::External(Box::new(error))
}
