use super::*;
use arrow::{
    array::{ArrayRef, ListArray, StringArray, StructArray},
    datatypes::{DataType, Schema},
};
use capfilt_schemas::{
    object_keys::Table,
    pairs::{self, Version},
};
use capfilt_store::tar::{SampleData, SampleWriter};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

fn table() -> RecordBatch {
    let texts = vec![PairsText { source: "alt", text: "a dog", itm: 0.75, itc: Some(0.5), clip: None }];
    let row = PairsRow { key: Some("k"), image: Some(b"x"), path: None, width: 4, height: 3, texts };
    pairs::batch(&pairs::schema(&[], Default::default()), &[row], &[]).unwrap()
}

/// The table as version 1 wrote it.
fn earlier() -> RecordBatch {
    let schema = Version::One.schema();
    let DataType::List(item) = schema.field(2).data_type() else { panic!("texts are a list") };
    let DataType::Struct(fields) = item.data_type() else { panic!("a text is a struct") };
    let text = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text])) };
    let itm: ArrayRef = Arc::new(arrow::array::Float32Array::from(vec![0.75]));
    let texts = StructArray::new(fields.clone(), vec![text("a dog"), text("web"), itm], None);
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([1]);
    let mut columns = table().columns().to_vec();
    columns[2] = Arc::new(ListArray::new(Arc::clone(item), offsets, Arc::new(texts), None));
    let metadata = HashMap::from([("capfilt.pairs.version".to_owned(), "1".to_owned())]);
    let schema = Arc::new(Schema::clone(&schema).with_metadata(metadata));
    RecordBatch::try_new(schema, columns).unwrap()
}

async fn read(batch: &RecordBatch) -> KeptText {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.parquet");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    let (bytes, sha256) = (std::fs::metadata(&path).unwrap().len(), String::new());
    let object = Output { table: Table::Pairs, path: "pairs.parquet".to_owned(), bytes, sha256, rows: 1 };
    let place = Location::open(folder.path().to_str().unwrap()).unwrap();
    let mut reader = PairsReader::open(&place, &object).await.unwrap();
    let mut rows = reader.next().await.unwrap().unwrap();
    assert_eq!(rows.passthrough.num_columns(), 0);
    rows.rows.remove(0).texts.remove(0)
}

#[tokio::test]
async fn tables_of_both_versions_are_read() {
    let text = |source: &str, itc| KeptText { text: "a dog".into(), source: source.into(), itm: 0.75, itc };
    assert_eq!(read(&table()).await, text("alt", Some(0.5)));
    assert_eq!(read(&earlier()).await, text("web", None));
}

/// Opens a tar with a sample for each record.
async fn tar_of(records: &[Vec<u8>], rows: u64) -> (tempfile::TempDir, PairsReader) {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, mut tar) = (SampleWriter::new(), Vec::new());
    for (i, record) in records.iter().enumerate() {
        let data = SampleData { image: Some(b"image"), text: "a dog", record };
        tar.extend(writer.add(&i.to_string(), data).unwrap());
    }
    tar.extend(writer.finish().unwrap());
    std::fs::write(folder.path().join("pairs.tar"), &tar).unwrap();
    let (path, bytes) = ("pairs.tar".to_owned(), tar.len() as u64);
    let object = Output { table: Table::Pairs, path, bytes, sha256: String::new(), rows };
    let place = Location::open(folder.path().to_str().unwrap()).unwrap();
    let reader = PairsReader::open(&place, &object).await.unwrap();
    (folder, reader)
}

fn record(row: u64) -> Vec<u8> {
    let texts = vec![PairsText { source: "alt", text: "a dog", itm: 0.1, itc: Some(-0.3), clip: None }];
    let stored = PairsRow { key: Some("k"), image: None, path: None, width: 4, height: 3, texts };
    let values = [
        ("flag", json!(row == 0)),
        ("mixed", if row == 0 { json!(1) } else { json!("18446744073709551615") }),
        ("nothing", Value::Null),
        ("number", json!(row as f64 + 0.1)),
        ("text", if row == 1 { Value::Null } else { json!("é") }),
        ("whole", json!(row)),
    ];
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    pairs::encode_sample(&stored, values)
}

#[tokio::test]
async fn rows_of_a_tar_are_read_in_parts_and_their_columns_have_the_types_of_json() {
    let records: Vec<Vec<u8>> = (0..300).map(record).collect();
    let (_folder, mut reader) = tar_of(&records, 300).await;
    let first = reader.next().await.unwrap().unwrap();
    let types: Vec<_> = first.passthrough.schema().fields().iter().map(|f| f.data_type().clone()).collect();
    let (text, number) = (DataType::Utf8, DataType::Float64);
    assert_eq!(types, [DataType::Boolean, text.clone(), DataType::Null, number, text, DataType::Int64]);
    assert_eq!((first.rows.len(), first.passthrough.num_rows()), (256, 256));
    assert_eq!((first.rows[0].texts[0].itm, first.rows[0].texts[0].itc), (0.1, Some(-0.3)));
    assert_eq!(first.rows[0].image, "image");
    assert_eq!(reader.next().await.unwrap().unwrap().rows.len(), 44);
    assert!(reader.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_tar_with_other_rows_or_a_damaged_record_is_not_read() {
    let (_folder, mut reader) = tar_of(&[record(0)], 2).await;
    assert_eq!(reader.next().await.unwrap().unwrap().rows.len(), 1);
    assert!(matches!(reader.next().await, Err(ReadError::Rows { planned: 2, found: 1, .. })));
    let (_folder, mut reader) = tar_of(&[b"{}".to_vec()], 1).await;
    let error = reader.next().await.unwrap_err().to_string();
    assert!(error.contains("pairs.tar") && error.contains("missing field `version`"), "{error}");
}
