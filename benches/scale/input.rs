//! Input files: real Parquet with many small row groups, so that each is cut into many shards.

use arrow::{
    array::{ArrayRef, BinaryArray, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use parquet::arrow::ArrowWriter;
use std::{io::Cursor, sync::Arc};

/// Rows per row group.
pub const ROWS: usize = 2;

/// One file of `groups` row groups; no two files are the same.
pub fn file(number: usize, groups: usize, picture: &[u8]) -> Vec<u8> {
    let column = |name: &str, kind: DataType| Field::new(name, kind, true);
    let columns = vec![
        column("key", DataType::Utf8),
        column("jpg", DataType::Binary),
        column("caption", DataType::Utf8),
    ];
    let schema = Arc::new(Schema::new(columns));
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), None).unwrap();
    for group in 0..groups {
        let texts = |of: &dyn Fn(usize) -> String| -> ArrayRef {
            Arc::new((0..ROWS).map(|row| Some(of(row))).collect::<StringArray>())
        };
        let columns: Vec<ArrayRef> = vec![
            texts(&|row| format!("{number:05}-{group:03}-{row}")),
            Arc::new(BinaryArray::from_iter_values((0..ROWS).map(|_| picture))),
            texts(&|row| format!("picture {row} of group {group} in file {number}")),
        ];
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns).unwrap()).unwrap();
        writer.flush().unwrap();
    }
    writer.into_inner().unwrap()
}

/// The smallest picture that decodes.
pub fn picture() -> Vec<u8> {
    let mut png = Cursor::new(Vec::new());
    image::RgbImage::from_pixel(8, 8, image::Rgb([200, 40, 40]))
        .write_to(&mut png, image::ImageFormat::Png)
        .unwrap();
    png.into_inner()
}
