use super::*;
use arrow::array::{BinaryArray, Int64Array, StringArray};
use parquet::arrow::ArrowWriter;
use std::{path::PathBuf, sync::Arc};

/// A file of this name and these bytes, and its folder.
fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn parquet_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, values)| (name, values, true)),
    );
    let (batch, mut bytes) = (batch.unwrap(), Vec::new());
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// Entries of a table, or the reason why it is refused. A digest `bad` is refused.
fn entries(name: &str, bytes: &[u8]) -> Result<Vec<(String, Role)>, String> {
    let (_folder, path) = file(name, bytes);
    let mut found = Vec::new();
    let kind = Kind::of(&path)?;
    assert_ne!(kind, Kind::Lines);
    each_cell(&path, kind, &mut |entry, role| {
        found.push((entry.to_owned(), role));
        if entry == "bad" { Err("it is bad".to_owned()) } else { Ok(()) }
    })?;
    Ok(found)
}

fn named(entries: &[(&str, Role)]) -> Vec<(String, Role)> {
    entries.iter().map(|(entry, role)| ((*entry).to_owned(), *role)).collect()
}

#[test]
fn the_columns_of_separated_values_are_found_by_name_and_empty_values_are_skipped() {
    let expected = named(&[("https://x.org/1,a", Role::Name), ("k2", Role::Name), ("ab", Role::Image)]);
    let csv = "\u{feff}note,sha256,key,url\r\n\"a\nb\",,,\"https://x.org/1,a\"\r\n\r\nx, , k2 ,\nx,ab,,\n";
    assert_eq!(entries("list.csv", csv.as_bytes()).unwrap(), expected);
    assert_eq!(entries("list.TSV", b"key\turl\nk1\thttps://x\n").unwrap().len(), 2);
}

#[test]
fn the_columns_of_parquet_may_be_texts_numbers_or_bytes() {
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
    let notes: ArrayRef = Arc::new(StringArray::from(vec![Some("n"), None]));
    let urls: ArrayRef = Arc::new(StringArray::from(vec![None, Some(" https://x.org/1 ")]));
    let images: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(&[1, 171]), None]));
    let columns = vec![("key", keys), ("note", notes), ("url", urls), ("sha256", images)];
    let expected = named(&[("https://x.org/1", Role::Name), ("7", Role::Name), ("01ab", Role::Image)]);
    // A Parquet file is recognized by its bytes.
    for name in ["list.parquet", "list"] {
        assert_eq!(entries(name, &parquet_of(columns.clone())).unwrap(), expected);
    }
}

#[test]
fn a_table_that_is_not_such_a_list_is_refused_with_the_reason() {
    let numbers: ArrayRef = Arc::new(arrow::array::Float64Array::from(vec![0.5]));
    let whole = parquet_of(vec![("url", Arc::new(StringArray::from(vec!["u"; 5000])))]);
    let mut damaged = whole.clone();
    damaged[4..64].fill(0xff);
    for (name, bytes, why) in [
        ("list.csv", b"uri,id\nx,y\n".to_vec(), "none of the columns url, key and sha256, but \"uri, id\""),
        ("list.csv", b"".to_vec(), "none of the columns"),
        ("list.csv", b"url,url\nx,y\n".to_vec(), "`url` is there twice"),
        ("list.csv", b"url,key\nx\n".to_vec(), "row 1 has 1 values, and the header 2"),
        ("list.csv", b"url\nok\n\xff\xfe\n".to_vec(), "row 2: column `url`: invalid utf-8"),
        ("list.csv", b"sha256\nbad\n".to_vec(), "row 1: it is bad"),
        ("list.parquet", b"url\n".to_vec(), "it is not a Parquet file"),
        ("list.parquet", b"PAR1PAR1".to_vec(), "it is not a Parquet file that can be read"),
        ("list.parquet", whole[..whole.len() / 2].to_vec(), "it is not a Parquet file that can be read"),
        ("list.parquet", damaged, "it is not a Parquet file that can be read"),
        (
            "list.parquet",
            parquet_of(vec![("key", Arc::clone(&numbers))]),
            "`key` has values of the type Float64",
        ),
        ("list.parquet", parquet_of(vec![("score", numbers)]), "but \"score\""),
    ] {
        let refused = entries(name, &bytes).unwrap_err();
        assert!(refused.contains(why), "{name}: {refused}, expected {why}");
    }
}
