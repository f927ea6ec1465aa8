//! A pinned object as a source for the Parquet reader.

use crate::{
    PinnedObject, StoreError,
    footer::{Footer, FooterFirst},
};
use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::{ParquetError, Result},
    file::metadata::{ParquetMetaData, ParquetMetaDataReader},
};
use std::{ops::Range, sync::Arc};

impl PinnedObject {
    /// Reads the file's footer and checks that it is safe to decode.
    ///
    /// # Errors
    /// As for the reads below.
    pub async fn footer(&self) -> Result<Footer> {
        Footer::read(self).await
    }
}

/// A failed read is a [`ParquetError::External`] that contains a [`StoreError`], so that callers can
/// distinguish a failure of the store from a fault of the file.
impl AsyncFileReader for PinnedObject {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        async move { self.range(range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.ranges(&ranges).await.map_err(external) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let footer = self.footer().await?;
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options);
            let fetch = FooterFirst { footer: &footer, object: self };
            Ok(Arc::new(reader.load_and_finish(fetch, self.bytes).await?))
        }
        .boxed()
    }
}

fn external(error: StoreError) -> ParquetError {
    ParquetError::External(Box::new(error))
}
