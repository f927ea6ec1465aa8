//! Rows of a shard whose columns are unusual: each promise over a real file.

#![allow(clippy::unwrap_used)]

mod shards;

use arrow::{
    array::{
        Array, ArrayRef, AsArray as _, BinaryArray, Float64Array, Int64Array, LargeStringArray, ListArray,
        NullArray, RecordBatch, StringArray, StringViewArray, StructArray,
    },
    compute::cast,
    datatypes::{DataType, Field, Fields, Int64Type, Schema},
};
use capfilt_pipeline::input::{ImageInput, InputColumns, Origin, Rows, Sample, TextInput};
use parquet::{
    arrow::ArrowWriter,
    basic::Compression,
    file::{
        properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder},
        reader::FileReader as _,
        serialized_reader::{ReadOptionsBuilder, SerializedFileReader},
    },
};
use std::{path::Path, sync::Arc};

/// Written as UTF-8, and replaced by bytes that are not UTF-8.
const BAD: &str = "@@bad@@";

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder().set_compression(Compression::UNCOMPRESSED)
}

/// Writes `a.parquet` with these columns.
fn write(folder: &Path, columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), columns.into_iter().map(|(_, array)| array).collect())
            .unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    let mut bytes = writer.into_inner().unwrap();
    for at in 0..bytes.len() - BAD.len() {
        if bytes[at..].starts_with(BAD.as_bytes()) {
            bytes[at..at + 2].copy_from_slice(b"\xff\xfe");
        }
    }
    std::fs::write(folder.join("a.parquet"), bytes).unwrap();
}

fn images(rows: usize) -> ArrayRef {
    Arc::new(BinaryArray::from_iter_values((0..rows).map(|row| format!("image {row}"))))
}

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn read(folder: &Path, columns: InputColumns) -> (Vec<Sample>, Vec<Rows>) {
    let rows = shards::read(folder, "a.parquet", columns, 2).unwrap();
    (rows.iter().flat_map(|rows| rows.samples.clone()).collect(), rows)
}

fn texts(samples: &[Sample]) -> Vec<String> {
    samples.iter().flat_map(|sample| &sample.texts).map(|text| word(&text.text)).collect()
}

fn word(text: &TextInput) -> String {
    match text {
        TextInput::Missing => "missing".to_owned(),
        TextInput::NotUtf8(_) => "not utf8".to_owned(),
        TextInput::TooMany => "too many".to_owned(),
        TextInput::Text(text) => text.clone(),
    }
}

#[test]
fn one_text_that_is_not_utf8_costs_its_own_row_alone() {
    let values = ["a", BAD, "c", "d"];
    let forms: [ArrayRef; 4] = [
        text(&values),
        Arc::new(LargeStringArray::from(values.to_vec())),
        Arc::new(StringViewArray::from(values.to_vec())),
        cast(&text(&values), &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)))
            .unwrap(),
    ];
    for form in forms {
        for dictionary in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let columns = vec![("jpg", images(4)), ("caption", Arc::clone(&form))];
            write(folder.path(), columns, properties().set_dictionary_enabled(dictionary).build());
            let (samples, _) = read(folder.path(), shards::columns());
            assert_eq!(texts(&samples), ["a", "not utf8", "c", "d"], "{} {dictionary}", form.data_type());
            // The status already contains the reason.
            assert!(
                samples.iter().all(|sample| sample.note.is_none() && sample.control.as_deref() != Some(BAD))
            );
        }
    }
}

#[test]
fn a_key_a_path_or_a_column_of_where_that_is_not_utf8_is_null_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let fields = Fields::from(vec![
        Field::new("bytes", DataType::Binary, true),
        Field::new("path", DataType::Utf8, false),
    ]);
    let image = StructArray::new(fields, vec![images(3), text(&["x.jpg", BAD, "z.jpg"])], None);
    let columns = vec![
        ("key", text(&[BAD, "b", "c"])),
        ("jpg", Arc::new(image) as ArrayRef),
        ("caption", text(&["x", "y", "z"])),
        ("status", text(&["ok", "ok", BAD])),
    ];
    write(folder.path(), columns, properties().build());
    let (samples, _) = read(folder.path(), shards::selecting("status = 'ok'"));
    assert_eq!(
        samples.iter().map(|sample| sample.key.as_deref()).collect::<Vec<_>>(),
        [None, Some("b"), Some("c")]
    );
    assert_eq!(samples.iter().map(|sample| sample.selected).collect::<Vec<_>>(), [true, true, false]);
    let row = |path: &str, bytes: &'static str| ImageInput::Bytes {
        bytes: bytes.into(),
        origin: Origin::Row { path: Some(path.to_owned()) },
    };
    assert_eq!(samples[0].image, row("x.jpg", "image 0"));
    let origin = Origin::Row { path: None };
    assert_eq!(samples[1].image, ImageInput::Bytes { bytes: "image 1".into(), origin });
    let notes = ["`key` is not UTF-8", "`jpg.path` is not UTF-8", "`status` is not UTF-8"];
    for (sample, note) in samples.iter().zip(notes) {
        assert!(sample.note.as_ref().unwrap().starts_with(note), "{:?}", sample.note);
    }
    let (samples, _) = read(folder.path(), shards::selecting("status is null"));
    assert_eq!(samples.iter().map(|sample| sample.selected).collect::<Vec<_>>(), [false, false, true]);
}

#[test]
fn a_row_whose_image_path_is_not_utf8_is_unreadable_and_other_rows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.jpg"), "an image").unwrap();
    let columns = vec![("jpg", text(&["x.jpg", BAD])), ("caption", text(&["x", "y"]))];
    write(folder.path(), columns, properties().build());
    let (samples, _) = read(folder.path(), shards::columns());
    assert!(matches!(&samples[0].image, ImageInput::Bytes { bytes, .. } if bytes == "an image"));
    assert_eq!(samples[1].image, ImageInput::Unreadable("the path is not UTF-8".to_owned()));
}

#[test]
fn a_passed_through_value_that_is_not_utf8_is_null_with_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let item = Arc::new(Field::new("item", DataType::Utf8, true));
    let offsets = arrow::buffer::OffsetBuffer::new(vec![0, 1, 3, 4].into());
    let tags: ArrayRef = Arc::new(ListArray::new(item, offsets, text(&["p", "q", BAD, "r"]), None));
    let columns = vec![
        ("jpg", images(3)),
        ("caption", text(&["x", "y", "z"])),
        ("url", text(&["u", "v", BAD])),
        ("tags", tags),
    ];
    write(folder.path(), columns, properties().build());
    let passthrough = vec!["url".to_owned(), "tags".to_owned()];
    let (samples, rows) = read(folder.path(), InputColumns { passthrough, ..shards::columns() });
    assert_eq!(texts(&samples), ["x", "y", "z"]);
    let notes: Vec<&str> = samples.iter().map(|sample| sample.note.as_deref().unwrap_or_default()).collect();
    assert_eq!(notes[0], "");
    assert!(
        notes[1].starts_with("`tags` is not UTF-8") && notes[2].starts_with("`url` is not UTF-8"),
        "{notes:?}"
    );
    let [first, second] = &rows[..] else { panic!("{} batches", rows.len()) };
    assert_eq!(first.passthrough.schema().field(1).data_type(), &DataType::new_list(DataType::Utf8, true));
    let list = first.passthrough.column(1).as_list::<i32>().value(1);
    assert_eq!((list.len(), list.null_count(), list.as_string::<i32>().value(0)), (2, 1, "q"));
    assert!(second.passthrough.column(0).is_null(0));
}

#[test]
fn a_column_of_type_null_is_a_column_without_values() {
    let null = || -> ArrayRef { Arc::new(NullArray::new(2)) };
    let image = |bytes: ArrayRef, path: ArrayRef| -> ArrayRef {
        let field = |name: &str, array: &ArrayRef| Field::new(name, array.data_type().clone(), true);
        let fields = Fields::from(vec![field("bytes", &bytes), field("path", &path)]);
        Arc::new(StructArray::new(fields, vec![bytes, path], None))
    };
    let good = || (text(&["k", "l"]), images(2), text(&["x", "y"]));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.jpg"), "an image").unwrap();
    let (key, jpg, caption) = good();
    let (bytes, paths) = (images(2), text(&["x.jpg", "x.jpg"]));
    for (what, key, jpg, caption) in [
        ("key", null(), good().1, good().2),
        ("jpg", good().0, null(), good().2),
        ("caption", good().0, good().1, null()),
        ("path", Arc::clone(&key), image(bytes, null()), Arc::clone(&caption)),
        ("bytes", Arc::clone(&key), image(null(), paths), Arc::clone(&caption)),
        ("both", Arc::clone(&key), image(null(), null()), Arc::clone(&caption)),
        ("nothing", key, jpg, caption),
    ] {
        write(folder.path(), vec![("key", key), ("jpg", jpg), ("caption", caption)], properties().build());
        let (samples, _) = read(folder.path(), shards::columns());
        for sample in samples {
            assert_eq!(sample.key.is_none(), what == "key", "{what}");
            assert_eq!(sample.texts[0].text == TextInput::Missing, what == "caption", "{what}");
            let found = match &sample.image {
                ImageInput::Missing => "missing",
                ImageInput::Bytes { origin: Origin::Row { .. }, .. } => "row",
                ImageInput::Bytes { origin: Origin::Object { .. }, .. } => "object",
                other => panic!("{what}: {other:?}"),
            };
            let expected = match what {
                "jpg" | "both" => "missing",
                "bytes" => "object",
                _ => "row",
            };
            assert_eq!(found, expected, "{what}");
        }
    }
}

#[test]
fn where_over_a_column_of_type_null_selects_as_sql_does() {
    let folder = tempfile::tempdir().unwrap();
    let nothing: ArrayRef = Arc::new(NullArray::new(2));
    let width: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let columns =
        vec![("jpg", images(2)), ("caption", text(&["x", "y"])), ("punsafe", nothing), ("width", width)];
    write(folder.path(), columns, properties().build());
    for (condition, expected) in [
        ("punsafe < 0.1", [false, false]),
        ("punsafe = 'x' or width = 2", [false, true]),
        ("not punsafe > 0.1 or punsafe is null", [true, true]),
    ] {
        let (samples, _) = read(folder.path(), shards::selecting(condition));
        assert_eq!(samples.iter().map(|sample| sample.selected).collect::<Vec<_>>(), expected, "{condition}");
    }
}

/// 120 rows in three row groups of 40, with images of 100 kB in pages of five; `group` and `row` are the
/// numbers of row group and row.
fn three_groups(folder: &Path, statistics: bool) {
    let rows = 0..120_i64;
    let image = |row: i64| vec![row as u8; 100_000];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("key", Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("k{row}"))))),
        ("jpg", Arc::new(BinaryArray::from_iter_values(rows.clone().map(image)))),
        ("caption", Arc::new(StringArray::from_iter_values(rows.clone().map(|row| format!("text {row}"))))),
        ("group", Arc::new(Int64Array::from_iter_values(rows.clone().map(|row| row / 40)))),
        ("row", Arc::new(Int64Array::from_iter_values(rows))),
    ];
    let enabled = if statistics { EnabledStatistics::Page } else { EnabledStatistics::None };
    let properties = properties()
        .set_dictionary_enabled(false)
        .set_statistics_enabled(enabled)
        .set_offset_index_disabled(false)
        .set_max_row_group_row_count(Some(40))
        .set_data_page_row_count_limit(5)
        .set_write_batch_size(5);
    write(folder, columns, properties.build());
}

/// Makes every page of images unreadable that has no row of `kept`.
fn damage_pages_without(folder: &Path, kept: std::ops::Range<i64>) -> usize {
    let path = folder.join("a.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    let options = ReadOptionsBuilder::new().with_page_index().build();
    let file = std::fs::File::open(&path).unwrap();
    let metadata = SerializedFileReader::new_with_options(file, options).unwrap().metadata().clone();
    let mut damaged = 0;
    for group in 0..3 {
        let index = metadata.page_index().unwrap().offset_index(group, 1).unwrap();
        for page in index.page_locations() {
            let first = 40 * group as i64 + page.first_row_index;
            if first + 5 <= kept.start || kept.end <= first {
                let start = page.offset as usize;
                bytes[start..start + page.compressed_page_size as usize].fill(0xff);
                damaged += 1;
            }
        }
    }
    std::fs::write(path, bytes).unwrap();
    damaged
}

#[test]
fn row_groups_and_pages_of_which_where_selects_nothing_are_not_read_and_every_row_is_there() {
    for statistics in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        three_groups(folder.path(), statistics);
        // The second row group has 2 MB before the selected rows, which are not read, and 500 kB after them,
        // which are read because another request would cost more.
        assert_eq!(damage_pages_without(folder.path(), 60..80), 20);
        let passthrough = vec!["row".to_owned()];
        let condition = "group = 1 and row >= 60 and row < 75";
        let (samples, rows) =
            read(folder.path(), InputColumns { passthrough, ..shards::selecting(condition) });
        assert_eq!(samples.len(), 120);
        for (row, sample) in samples.iter().enumerate() {
            let is_selected = (60..75).contains(&row);
            assert_eq!((sample.row, sample.selected), (row as u64, is_selected));
            assert_eq!(sample.key, Some(format!("k{row}")));
            assert_eq!(sample.texts[0].text, TextInput::Text(format!("text {row}")));
            match &sample.image {
                ImageInput::Bytes { bytes, .. } => assert_eq!(bytes, &vec![row as u8; 100_000]),
                other => assert_eq!((other, is_selected), (&ImageInput::Missing, false)),
            }
            assert_eq!(
                sample.control.is_some(),
                (40..80).contains(&row),
                "{row}: texts of the same row group"
            );
        }
        let passed =
            rows.iter().flat_map(|rows| rows.passthrough.column(0).as_primitive::<Int64Type>().iter());
        assert!(passed.enumerate().all(|(row, cell)| cell.is_none_or(|cell| cell == row as i64)));
    }
}

#[test]
fn statistics_that_say_nothing_certain_leave_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let score: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), Some(f64::NAN), None, Some(-0.0)]));
    let name = text(&["a", BAD, "c", "d"]);
    write(
        folder.path(),
        vec![("jpg", images(4)), ("caption", text(&["x"; 4])), ("score", score), ("name", name)],
        properties().build(),
    );
    for (condition, expected) in [
        ("score > 1", vec![1]),
        ("score = 'nan'", vec![1]),
        ("not score <= 1", vec![1]),
        ("score < 0", vec![]),
        ("score = 0", vec![3]),
        ("score is null", vec![2]),
        ("name is null", vec![1]),
        ("name > 'b' and name < 'cc'", vec![2]),
        ("name > 'z'", vec![]),
        ("score > 5 or name = 'a'", vec![0, 1]),
    ] {
        let (samples, _) = read(folder.path(), shards::selecting(condition));
        let selected: Vec<u64> =
            samples.iter().filter(|sample| sample.selected).map(|sample| sample.row).collect();
        assert_eq!((samples.len(), selected), (4, expected), "{condition}");
    }
}
