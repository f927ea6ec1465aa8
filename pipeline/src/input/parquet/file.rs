//! An opened input file: schema types and stored types of its columns, its row groups, and its page index.

use arrow::datatypes::SchemaRef;
use capfilt_store::{PinnedObject, footer};
use parquet::{
    arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions},
    errors::{ParquetError, Result},
    file::metadata::{ColumnChunkMask, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader},
};
use std::{collections::BTreeSet, ops::Range, sync::Arc};

/// Columns with schema types, and row groups with stored types.
pub(super) struct File {
    pub schema: SchemaRef,
    pub metadata: ArrowReaderMetadata,
}

/// Columns and row groups whose pages are located.
pub(super) struct PagesOf<'a> {
    pub columns: &'a BTreeSet<&'a str>,
    pub groups: Range<u32>,
}

/// Opens a file. `pages`: the request for page locations, if only some rows may be read.
pub(super) async fn open(object: &PinnedObject, pages: Option<PagesOf<'_>>) -> Result<File> {
    let footer = object.footer().await?;
    let schema = Arc::new(footer::promised(footer.schema())?);
    let mut metadata = footer.decode(footer::stored(footer.schema())?)?;
    if let Some(pages) = pages {
        metadata = with_pages(object, metadata, &pages).await?;
    }
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    Ok(File { schema, metadata: ArrowReaderMetadata::try_new(Arc::new(metadata), options)? })
}

/// Adds page locations, if the file has them for all columns. A damaged page index is not an error: the rows
/// can be read without it.
async fn with_pages(
    object: &PinnedObject,
    metadata: ParquetMetaData,
    of: &PagesOf<'_>,
) -> Result<ParquetMetaData> {
    let schema = metadata.file_metadata().schema_descr();
    let wanted = |leaf: &usize| of.columns.contains(schema.get_column_root(*leaf).name());
    let leaves: Vec<usize> = (0..schema.num_columns()).filter(wanted).collect();
    let groups: Vec<usize> = of.groups.clone().map(|group| group as usize).collect();
    let known = groups.iter().filter_map(|group| metadata.row_groups().get(*group));
    let has_index = known.flat_map(|group| leaves.iter().map(|leaf| group.column(*leaf)));
    if has_index.map(|column| column.offset_index_range()).any(|range| range.is_none()) {
        return Ok(metadata);
    }
    let mut reader = ParquetMetaDataReader::new_with_metadata(metadata.clone())
        .with_offset_index_policy(PageIndexPolicy::Optional)
        .with_offset_index_mask(ColumnChunkMask::row_groups_and_columns(groups, leaves));
    match reader.load_page_index(&mut object.clone()).await {
        Ok(()) => reader.finish(),
        Err(ParquetError::External(store)) => Err(ParquetError::External(store)),
        Err(_) => Ok(metadata),
    }
}
