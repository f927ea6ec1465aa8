//! Shards of real Parquet files, and their rows as a job reads them.

#![allow(dead_code)]

use capfilt_pipeline::input::{InputColumns, READING_BYTES, ReadError, Rows, ShardReader};
use capfilt_schemas::{
    plan::{InputFile, Part, Shard, ShardId},
    predicate::Predicate,
};
use capfilt_store::Location;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use std::{path::Path, sync::Arc};

/// A whole file as one shard.
pub fn shard(folder: &Path, name: &str) -> Shard {
    let path = folder.join(name);
    let bytes = std::fs::metadata(&path).unwrap().len();
    let metadata = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap().metadata().clone();
    let rows = metadata.file_metadata().num_rows() as u64;
    let row_groups = 0..metadata.num_row_groups() as u32;
    let file = Arc::new(InputFile { path: name.to_owned(), etag: String::new(), bytes });
    let id = ShardId::of(name, "", row_groups.clone());
    let part = Part::RowGroups(row_groups);
    Shard { id, file, part, first_row: 0, rows, rows_exact: true, bytes }
}

/// The columns `key`, `jpg` and `caption`, all rows.
pub fn columns() -> InputColumns {
    InputColumns {
        key: "key".to_owned(),
        image: "jpg".to_owned(),
        texts: vec!["caption".into()],
        selection: None,
        passthrough: Vec::new(),
        max_words: 30,
        image_bytes: 1 << 20,
        text_bytes: 16 << 10,
        most_texts: 3,
        seed: 7,
        memory: READING_BYTES,
        links: None,
    }
}

pub fn selecting(condition: &str) -> InputColumns {
    InputColumns { selection: Some(Predicate::parse(condition).unwrap()), ..columns() }
}

/// All rows of a file, in the reader's batches.
pub fn read(folder: &Path, name: &str, columns: InputColumns, batch: usize) -> Result<Vec<Rows>, ReadError> {
    let place = Location::open(folder.to_str().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut reader = ShardReader::open(&place, &shard(folder, name), columns, batch).await?;
        let mut all = Vec::new();
        while let Some(rows) = reader.next().await? {
            all.push(rows);
        }
        Ok(all)
    })
}
