//! The plan as a Parquet object: equal shards give equal bytes, and a million shards fit in a small file.

use bytes::Bytes;
use capfilt_schemas::plan::{self, NotAShard, Shard};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};

/// Shards per batch, in both directions.
const BATCH: usize = 8192;

/// Reason why bytes are not a plan.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum PlanTableError {
    #[error("the plan is not readable as Parquet: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("the plan is not readable as Parquet: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("the plan has other columns than this version's; did another version of capfilt write it?")]
    Columns,
    #[error(transparent)]
    Shard(#[from] NotAShard),
}

/// Encodes a plan. The bytes depend only on the shards, so planning twice writes one object.
pub fn encode(shards: &[Shard]) -> Bytes {
    const INFALLIBLE: &str = "a plan's columns fit its schema, and memory does not refuse writes";
    let level = ZstdLevel::try_new(3).expect("3 is a level");
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by("capfilt".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), plan::schema(), Some(properties)).expect(INFALLIBLE);
    for chunk in shards.chunks(BATCH) {
        writer.write(&plan::batch(chunk)).expect(INFALLIBLE);
    }
    Bytes::from(writer.into_inner().expect(INFALLIBLE))
}

/// Decodes a plan, one batch at a time.
pub fn stream(bytes: Bytes) -> Result<impl Iterator<Item = Result<Shard, PlanTableError>>, PlanTableError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?;
    if !plan::is_readable(builder.schema()) {
        return Err(PlanTableError::Columns);
    }
    let batches: ParquetRecordBatchReader = builder.with_batch_size(BATCH).build()?;
    Ok(batches.flat_map(|batch| match batch {
        Ok(batch) => {
            plan::shards(&batch).map(|shard| shard.map_err(PlanTableError::from)).collect::<Vec<_>>()
        }
        Err(error) => vec![Err(error.into())],
    }))
}

/// Decodes a whole plan.
pub fn decode(bytes: Bytes) -> Result<Vec<Shard>, PlanTableError> {
    stream(bytes)?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::plan::{InputFile, Part, ShardId};
    use std::sync::Arc;

    fn shards(n: u32) -> Vec<Shard> {
        let shard = |i: u32| {
            let file = InputFile {
                path: format!("web/{:05}.parquet", i / 10),
                etag: format!("\"{:032x}\"", i / 10),
                bytes: 1 << 30,
            };
            let row_groups = i % 10..i % 10 + 1;
            let id = ShardId::of(&file.path, &file.etag, row_groups.clone());
            Shard {
                id,
                file: Arc::new(file),
                part: Part::RowGroups(row_groups),
                first_row: u64::from(i % 10) * 10_000,
                rows: 10_000,
                rows_exact: true,
                bytes: 1 << 27,
            }
        };
        (0..n).map(shard).collect()
    }

    #[test]
    fn a_plan_reads_back_and_has_the_same_bytes_every_time() {
        let shards = shards(20_000);
        let bytes = encode(&shards);
        assert_eq!(bytes, encode(&shards));
        assert_eq!(decode(bytes.clone()).unwrap(), shards);
        let per_shard = bytes.len() / shards.len();
        assert!(per_shard < 40, "{per_shard} bytes per shard: a million would be {per_shard} MB");
        assert_eq!(decode(encode(&[])).unwrap(), []);
        assert!(decode(Bytes::from("no plan")).is_err());
    }
}
