//! Files whose rows take far more memory than the file has bytes: the rows that are read at once are bounded.

#![allow(clippy::unwrap_used)]

use arrow::{
    array::{ArrayRef, BinaryArray, Int32Array, RecordBatch, StringArray, StructArray},
    datatypes::{DataType, Field},
};
use capfilt_pipeline::input::{ImageInput, InputColumns, READING_BYTES, Rows, ShardReader, TextInput};
use capfilt_schemas::plan::{InputFile, Part, Shard, ShardId};
use capfilt_store::Location;
use object_store::ObjectStoreExt as _;
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::properties::{WriterProperties, WriterPropertiesBuilder},
};
use std::sync::Arc;

/// Largest number of bytes that one call of the reader returns, if it returns more than one row.
const CHUNK: u64 = 64 << 20;

const MB: usize = 1_000_000;

/// One row group of these columns, in a temporary folder.
struct File {
    folder: tempfile::TempDir,
    rows: usize,
}

impl File {
    fn of(columns: Vec<(&str, ArrayRef)>, properties: WriterPropertiesBuilder) -> Self {
        Self::in_steps([RecordBatch::try_from_iter(columns).unwrap()].into_iter(), properties)
    }

    /// Writes batches that need not be in memory together.
    fn in_steps(batches: impl Iterator<Item = RecordBatch>, properties: WriterPropertiesBuilder) -> Self {
        let mut batches = batches.peekable();
        let folder = tempfile::tempdir().unwrap();
        let properties = properties.set_compression(Compression::ZSTD(Default::default()));
        let properties = properties.set_max_row_group_row_count(Some(1 << 30)).set_max_row_group_bytes(None);
        let file = std::fs::File::create(folder.path().join("a.parquet")).unwrap();
        let schema = batches.peek().unwrap().schema();
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties.build())).unwrap();
        let mut rows = 0;
        for batch in batches {
            writer.write(&batch).unwrap();
            rows += batch.num_rows();
        }
        writer.close().unwrap();
        Self { folder, rows }
    }

    /// Calls `each` with the rows of every call of the reader.
    async fn read(&self, batch_rows: usize, passthrough: &[&str], mut each: impl FnMut(Rows)) {
        let place = Location::open(&self.folder.path().display().to_string()).unwrap();
        let meta = place.store.head(&place.path_of("a.parquet")).await.unwrap();
        let file = InputFile { path: "a.parquet".into(), etag: meta.e_tag.unwrap(), bytes: meta.size };
        let id = ShardId::of(&file.path, &file.etag, 0..1);
        let shard = Shard {
            id,
            file: file.into(),
            part: Part::RowGroups(0..1),
            rows_exact: true,
            first_row: 0,
            rows: self.rows as u64,
            bytes: meta.size,
        };
        let columns = InputColumns {
            key: "key".into(),
            image: "jpg".into(),
            texts: vec!["caption".into()],
            selection: None,
            passthrough: passthrough.iter().map(|name| (*name).to_owned()).collect(),
            max_words: 30,
            image_bytes: 50 << 20,
            text_bytes: 16 << 10,
            most_texts: 64,
            seed: 0,
            memory: READING_BYTES,
            links: None,
        };
        let mut reader = ShardReader::open(&place, &shard, columns, batch_rows).await.unwrap();
        let mut row = 0;
        while let Some(rows) = reader.next().await.unwrap() {
            assert!(rows.samples.len() <= batch_rows);
            assert_eq!(
                (rows.bytes.len(), rows.passthrough.num_rows()),
                (rows.samples.len(), rows.samples.len())
            );
            assert!(
                rows.samples.len() == 1 || rows.bytes.iter().sum::<u64>() <= CHUNK + 1024 * batch_rows as u64
            );
            for sample in &rows.samples {
                assert_eq!((sample.row, sample.key.as_deref()), (row, Some(format!("k{row}").as_str())));
                row += 1;
            }
            each(rows);
        }
        assert_eq!(row, self.rows as u64);
    }
}

fn keys(rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("k{row}"))))
}

fn images(rows: usize, image: &[u8]) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values((0..rows).map(|_| image)))
}

fn texts(rows: usize, text: &str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..rows).map(|_| text)))
}

fn image_of(rows: &Rows, at: usize) -> usize {
    match &rows.samples[at].image {
        ImageInput::Bytes { bytes, .. } => bytes.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rows_that_share_one_large_value_are_read_a_few_at_a_time() {
    // 60 images of 40 MB are 2.4 GB, more than the offsets of an array can address; the file has one copy.
    let step = |from: usize| {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("key", Arc::new(StringArray::from_iter_values((from..from + 10).map(|row| format!("k{row}"))))),
            ("jpg", images(10, &vec![7; 40 * MB])),
            ("caption", texts(10, "a dog")),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let properties = WriterProperties::builder().set_dictionary_page_size_limit(1 << 30);
    let file = File::in_steps((0..6).map(|i| step(10 * i)), properties);
    assert!(std::fs::metadata(file.folder.path().join("a.parquet")).unwrap().len() < MB as u64);
    let mut calls = 0;
    file.read(512, &[], |rows| {
        assert_eq!((rows.samples.len(), image_of(&rows, 0)), (1, 40 * MB));
        calls += 1;
    })
    .await;
    assert_eq!(calls, 60);
}

#[tokio::test]
async fn many_texts_of_three_hundred_kilobytes_come_as_they_are_written() {
    let text = "a red circle ".repeat(24_000);
    let step = |from: usize| {
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "key",
                Arc::new(StringArray::from_iter_values((from..from + 1000).map(|row| format!("k{row}")))),
            ),
            ("jpg", images(1000, b"x")),
            ("caption", texts(1000, &text)),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    // More than 2 GiB in total: an array of strings cannot hold them.
    let file = File::in_steps((0..7).map(|i| step(1000 * i)), WriterProperties::builder());
    file.read(512, &["caption"], |rows| {
        assert!(rows.samples.iter().all(|sample| sample.texts[0].text == TextInput::Text(text.clone())));
        assert!(
            rows.samples.iter().all(|sample| sample.control.as_deref().is_none()),
            "all texts are the same"
        );
        assert_eq!(rows.passthrough.schema().field(0).data_type(), &DataType::Utf8);
    })
    .await;
}

#[tokio::test]
async fn an_image_over_the_limit_is_named_with_its_size_and_not_carried_along() {
    let large = vec![7; 60 * MB];
    let cells: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"small", &large, b"small"]));
    let paths: ArrayRef = Arc::new(StringArray::from(vec!["a.jpg", "b.jpg", "c.jpg"]));
    let fields =
        [("bytes", DataType::Binary), ("path", DataType::Utf8)].map(|(n, t)| Field::new(n, t, false));
    let as_struct: ArrayRef =
        Arc::new(StructArray::new(fields.to_vec().into(), vec![Arc::clone(&cells), paths], None));
    for column in [cells, as_struct] {
        let columns = vec![("key", keys(3)), ("jpg", column), ("caption", texts(3, "a dog"))];
        let mut details = Vec::new();
        File::of(columns, WriterProperties::builder())
            .read(8, &[], |rows| {
                assert_eq!((rows.samples.len(), image_of(&rows, 0), image_of(&rows, 2)), (3, 5, 5));
                assert!(rows.bytes.iter().sum::<u64>() < MB as u64);
                details.push(rows.samples[1].image.clone());
            })
            .await;
        let detail = "it has 60000000 bytes; limits.image_bytes is 52428800";
        assert_eq!(details, [ImageInput::TooLarge(detail.to_owned())]);
    }
}

#[tokio::test]
async fn a_text_of_many_megabytes_is_cut_and_still_over_the_limit() {
    let long = "ab ".repeat(5 * MB);
    let columns = vec![
        ("key", keys(2)),
        ("jpg", images(2, b"x")),
        ("caption", Arc::new(StringArray::from(vec![&long, "a dog"])) as _),
    ];
    File::of(columns, WriterProperties::builder())
        .read(8, &[], |rows| {
            let text = rows.samples[0].text().unwrap();
            assert!(text.len() == 1 << 20 && long.starts_with(text));
            assert_eq!(rows.samples[1].texts[0].text, TextInput::Text("a dog".to_owned()));
        })
        .await;
}

#[tokio::test]
async fn a_few_large_rows_among_many_small_ones_are_read_a_few_at_a_time() {
    // The mean hides them: 200 images of 4 MB after 20,000 empty ones.
    let (rows, large) = (20_000, vec![7; 4 * MB]);
    let cells = (0..rows).map(|row| if row < rows - 200 { b"x".as_slice() } else { &large });
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", keys(rows)),
        ("jpg", Arc::new(BinaryArray::from_iter_values(cells))),
        ("caption", texts(rows, "a dog")),
        ("n", Arc::new(Int32Array::from_iter_values(0..rows as i32))),
    ];
    let file = File::of(columns, WriterProperties::builder().set_dictionary_enabled(false));
    let mut most = 0;
    file.read(512, &["n"], |rows| most = most.max(rows.bytes.iter().sum::<u64>())).await;
    assert!((CHUNK / 2..=CHUNK + 512 * 1024).contains(&most), "{most}");
}
