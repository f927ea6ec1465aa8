//! Decides which parts of a row group are read whole.

use super::Source;
use crate::input::{
    ReadError,
    parquet::{
        bounds::{Group, may_select},
        notes::Notes,
        parts::{Page, Part, Reads, parts},
        source::{CHUNK_BYTES, TEXT_ROWS},
    },
};
use parquet::{errors::ParquetError, file::metadata::RowGroupMetaData};

impl Source {
    /// Parts of the row group, in order. Unless the statistics suffice, the condition is evaluated first, on
    /// its columns alone.
    pub(in crate::input::parquet) async fn parts(&self, group: u32) -> Result<Vec<Part>, ReadError> {
        self.row_group(group)?;
        let whole = || vec![Part::whole(Reads::Everything)];
        let Some(predicate) = &self.columns.selection else { return Ok(whole()) };
        let known = Group { metadata: &self.metadata, promised: &self.schema, group: group as usize };
        if !may_select(predicate, &known) {
            return Ok(vec![Part::whole(Reads::Names)]);
        }
        let looked_at = predicate.columns();
        if looked_at.contains(self.columns.image.as_str()) {
            return Ok(whole());
        }
        let mut selected = Vec::new();
        let mut stream = self.stream(group, &Part::whole(Reads::Everything), &looked_at, TEXT_ROWS).await?;
        while let Some(batch) = stream.next().await.map_err(|source| self.parquet(source))? {
            for piece in self.piece(batch).cut(CHUNK_BYTES) {
                selected.extend(self.selected(&piece.batch, &mut Notes::default())?);
            }
        }
        Ok(parts(&selected, &self.pages(group, selected.len())))
    }

    /// Pages of the image column's largest leaf, if they are known and cover all rows.
    fn pages(&self, group: u32, rows: usize) -> Vec<Page> {
        let (metadata, schema) = (self.metadata.metadata(), self.metadata.parquet_schema());
        let columns = metadata.row_group(group as usize).columns();
        let of_image =
            (0..columns.len()).filter(|leaf| schema.get_column_root(*leaf).name() == self.columns.image);
        let largest = of_image.max_by_key(|leaf| columns[*leaf].compressed_size());
        let index = metadata
            .page_index()
            .zip(largest)
            .and_then(|(index, leaf)| index.offset_index(group as usize, leaf));
        let Some(index) = index else { return Vec::new() };
        let starts =
            index.page_locations().iter().map(|page| usize::try_from(page.first_row_index).unwrap_or(rows));
        let ends = starts.clone().skip(1).chain([rows]);
        let pages = starts.zip(ends).zip(index.page_locations());
        let pages = pages.map(|((start, end), page)| Page {
            rows: start..end,
            bytes: page.compressed_page_size.unsigned_abs().into(),
        });
        let pages: Vec<Page> = pages.collect();
        let is_whole = pages.first().is_some_and(|page| page.rows.start == 0)
            && pages.iter().all(|page| page.rows.start <= page.rows.end && page.rows.end <= rows);
        if is_whole { pages } else { Vec::new() }
    }

    /// # Errors
    /// The file has fewer row groups than when it was planned.
    pub(super) fn row_group(&self, group: u32) -> Result<&RowGroupMetaData, ReadError> {
        let groups = self.metadata.metadata().row_groups();
        let missing =
            || format!("row group {group} was planned, and the file has {}: was it replaced?", groups.len());
        groups.get(group as usize).ok_or_else(|| self.parquet(ParquetError::General(missing())))
    }
}
