//! The memory for a row group is bounded, for any sizes in the file and for any sizes that its pages claim.

#![allow(clippy::unwrap_used)]

mod shards;

use arrow::{
    array::{ArrayRef, BinaryArray, Int32Builder, ListBuilder, RecordBatch, StringArray},
    compute::concat_batches,
};
use capfilt_pipeline::input::{ImageInput, InputColumns, ReadError, Sample, ShardReader};
use capfilt_store::Location;
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
        reader::{FileReader as _, SerializedFileReader},
    },
};
use std::{fs, path::Path};

const MIB: usize = 1 << 20;

const FILE: &str = "a.parquet";

fn write(folder: &Path, columns: Vec<(&str, ArrayRef)>, properties: WriterPropertiesBuilder) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = fs::File::create(folder.join(FILE)).unwrap();
    let properties =
        properties.set_max_row_group_row_count(Some(1 << 20)).set_max_row_group_bytes(None).build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn texts(texts: impl Iterator<Item = String>) -> ArrayRef {
    std::sync::Arc::new(StringArray::from_iter_values(texts))
}

fn bytes(values: &[Vec<u8>]) -> ArrayRef {
    std::sync::Arc::new(BinaryArray::from_iter_values(values))
}

/// One row, whose image is a page of `bytes` zeros: a few kilobytes of file.
fn one_large_page(folder: &Path, page: usize) {
    let one = |text: &str| texts(std::iter::once(text.to_owned()));
    let columns = vec![("key", one("k")), ("caption", one("a dog")), ("jpg", bytes(&[vec![0; page]]))];
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(Default::default()));
    let properties = properties.set_statistics_enabled(EnabledStatistics::None);
    write(folder, columns, properties.set_dictionary_enabled(false));
}

/// Overwrites the size in the header of the image's page; the new size has as many digits.
fn promise(folder: &Path, bytes: u32) {
    let path = folder.join(FILE);
    let metadata = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap().metadata().clone();
    let header = metadata.row_group(0).column(2).data_page_offset() as usize;
    let mut file = fs::read(&path).unwrap();
    // The field of the page's type, and the field of its size, of five bytes.
    assert_eq!((file[header], file[header + 2], file[header + 7] & 0x80), (0x15, 0x15, 0));
    let doubled = u64::from(bytes) << 1;
    for digit in 0..5 {
        file[header + 3 + digit] = (doubled >> (7 * digit)) as u8 & 0x7f | if digit < 4 { 0x80 } else { 0 };
    }
    fs::write(path, file).unwrap();
}

fn with_memory(mebibytes: usize) -> InputColumns {
    InputColumns { memory: (mebibytes * MIB) as u64, ..shards::columns() }
}

fn error(folder: &Path, columns: InputColumns) -> ReadError {
    shards::read(folder, FILE, columns, 16).unwrap_err()
}

#[test]
fn a_page_without_room_is_refused_by_name_and_read_where_there_is_more() {
    let folder = tempfile::tempdir().unwrap();
    one_large_page(folder.path(), 40 * MIB);
    assert!(fs::metadata(folder.path().join(FILE)).unwrap().len() < MIB as u64);
    let message = error(folder.path(), with_memory(32)).to_string();
    for part in [FILE, "column `jpg`", "41943", "leaves 33554432", "workers.memory", "smaller pages"] {
        assert!(message.contains(part), "{message}");
    }
    let rows = shards::read(folder.path(), FILE, with_memory(48), 16).unwrap();
    assert!(
        matches!(rows[0].samples[0].image, ImageInput::TooLarge(_)),
        "it is over limits.image_bytes, and no more"
    );
}

#[test]
fn a_page_that_promises_two_gibibytes_is_refused_before_they_are_allocated() {
    let folder = tempfile::tempdir().unwrap();
    one_large_page(folder.path(), 150 * MIB);
    promise(folder.path(), i32::MAX as u32);
    let message = error(folder.path(), with_memory(512)).to_string();
    assert!(message.contains("column `jpg` have 2147483647 bytes decompressed"), "{message}");
    promise(folder.path(), 300 << 20);
    let message = error(folder.path(), with_memory(512)).to_string();
    assert!(
        message.contains("doesn't match the expected one"),
        "a false size that fits the memory: {message}"
    );
    promise(folder.path(), u32::MAX);
    assert!(error(folder.path(), with_memory(512)).to_string().contains("damaged"));
}

/// 1,000 rows with an image of 20 to 40 kB, a list and a text.
fn many_pages(folder: &Path, compression: Compression, page_bytes: usize) {
    let rows = 1000;
    let mut random = 1_u32;
    let mut noise = |length: usize| -> Vec<u8> {
        let next = |_| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 24) as u8
        };
        (0..length).map(next).collect()
    };
    let images: Vec<Vec<u8>> = (0..rows).map(|row| noise(20_000 + 20 * row)).collect();
    let mut lists = ListBuilder::new(Int32Builder::new());
    for row in 0..rows {
        (0..row % 7).for_each(|item| lists.values().append_value((row * item) as i32));
        lists.append(row % 11 != 0);
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", texts((0..rows).map(|row| format!("k{row}")))),
        ("jpg", bytes(&images)),
        ("caption", texts((0..rows).map(|row| format!("a dog number {}", row % 50)))),
        ("list", std::sync::Arc::new(lists.finish())),
        ("long", texts((0..rows).map(|row| format!("{row} ").repeat(1 + row % 900)))),
        ("pick", texts((0..rows).map(|row| if (300..340).contains(&row) { "yes" } else { "no" }.to_owned()))),
    ];
    let properties = WriterProperties::builder().set_compression(compression).set_write_batch_size(8);
    let properties =
        properties.set_data_page_size_limit(page_bytes).set_column_dictionary_enabled("jpg".into(), false);
    write(folder, columns, properties);
}

fn all(folder: &Path, columns: InputColumns) -> (Vec<Sample>, RecordBatch) {
    let passthrough = ["list", "long"].map(str::to_owned).to_vec();
    let read = shards::read(folder, FILE, InputColumns { passthrough, ..columns }, 64).unwrap();
    let schema = read[0].passthrough.schema();
    let passed = concat_batches(&schema, read.iter().map(|rows| &rows.passthrough)).unwrap();
    (read.into_iter().flat_map(|rows| rows.samples).collect(), passed)
}

#[test]
fn a_row_group_without_room_for_all_of_it_is_read_piece_by_piece_and_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let zstd = Compression::ZSTD(Default::default());
    for (compression, page_bytes) in [(Compression::UNCOMPRESSED, 50_000), (zstd, 50_000), (zstd, 3 * MIB)] {
        many_pages(folder.path(), compression, page_bytes);
        assert!(fs::metadata(folder.path().join(FILE)).unwrap().len() > 28 * MIB as u64);
        let expected = all(folder.path(), with_memory(512));
        assert_eq!((expected.0.len(), expected.1.num_rows()), (1000, 1000));
        // The file exceeds the first limit, and the share of the second for compressed bytes (a quarter).
        for memory in [20, 100] {
            assert!(
                all(folder.path(), with_memory(memory)) == expected,
                "{compression:?} {page_bytes} {memory}"
            );
        }
        let condition = || shards::selecting("pick = 'yes'");
        let picked = all(folder.path(), InputColumns { memory: 1 << 30, ..condition() });
        assert_eq!(picked.0.iter().filter(|sample| sample.selected).count(), 40);
        let in_pieces = all(folder.path(), InputColumns { memory: 16 << 20, ..condition() });
        assert!(in_pieces == picked, "{compression:?} {page_bytes}");
    }
}

#[tokio::test]
async fn a_file_replaced_while_its_row_group_is_read_is_distinguished_from_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    many_pages(folder.path(), Compression::UNCOMPRESSED, 50_000);
    let shard = shards::shard(folder.path(), FILE);
    let place = Location::open(folder.path().to_str().unwrap()).unwrap();
    let mut reader = ShardReader::open(&place, &shard, with_memory(20), 64).await.unwrap();
    reader.next().await.unwrap().unwrap();
    let another = [fs::read(folder.path().join(FILE)).unwrap(), b"and more".to_vec()].concat();
    fs::write(folder.path().join(FILE), another).unwrap();
    let error = loop {
        match reader.next().await {
            Ok(rows) => drop(rows.unwrap()),
            Err(error) => break error,
        }
    };
    assert!(error.bucket().is_some_and(|bucket| bucket.is_changed()), "{error}");
}
