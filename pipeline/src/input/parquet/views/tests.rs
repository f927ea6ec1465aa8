use super::*;
use arrow::datatypes::Int32Type;

fn strings() -> ArrayRef {
    Arc::new(StringViewArray::from(vec![Some("ab"), None, Some("a text of more than twelve bytes")]))
}

#[test]
fn strings_and_bytes_are_views_at_any_depth() {
    let path = Field::new("path", DataType::Utf8, true);
    let list = DataType::List(Arc::new(Field::new("item", DataType::Binary, false)));
    let cell = DataType::Struct(vec![path.clone(), Field::new("list", list, true)].into());
    let viewed = viewed(&Schema::new(vec![
        path,
        Field::new("cell", cell, true),
        Field::new("n", DataType::Int64, true),
    ]));
    let types: Vec<String> = viewed.fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!((types[0].as_str(), types[2].as_str()), ("Utf8View", "Int64"));
    assert!(types[1].contains("Utf8View") && types[1].contains("BinaryView"), "{}", types[1]);
}

#[test]
fn a_row_is_measured_by_its_bytes_after_copying() {
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1), Some(2)]),
        None,
        Some(vec![]),
    ]));
    let batch = RecordBatch::try_from_iter([("text", strings()), ("list", lists)]).unwrap();
    assert_eq!(row_bytes(&batch), [2 + 8, 0, 32]);
    assert_eq!(row_bytes(&batch.slice(2, 1)), [32], "a slice has the bytes of its rows alone");
}

#[test]
fn an_image_over_the_limit_leaves_its_length_and_not_its_bytes() {
    let bytes: ArrayRef = Arc::new(BinaryViewArray::from(vec![b"small".as_slice(), &[7; 100], &[8; 20]]));
    let (left, large) = without_large(&bytes, 20).unwrap();
    assert_eq!(large, [None, Some(100), None]);
    assert_eq!(
        left.as_binary_view().iter().map(|value| value.unwrap().len()).collect::<Vec<_>>(),
        [5, 0, 20]
    );
    assert!(without_large(&bytes, 100).is_none());
}

#[test]
fn a_long_text_is_cut_at_the_end_of_a_character_and_never_below_the_limit() {
    let texts: ArrayRef = Arc::new(StringViewArray::from(vec!["aaaaaaaaaaaaaé and on", "short"]));
    let cut = shortened(&texts, 14).unwrap();
    assert_eq!(cut.as_string_view().value(0), "aaaaaaaaaaaaaé");
    assert_eq!(cut.as_string_view().value(1), "short");
    assert!(shortened(&texts, 100).is_none());
    let item = Arc::new(Field::new("item", DataType::Utf8View, true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([1, 1]);
    let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, texts, None));
    let cut = shortened(&lists, 14).unwrap();
    assert_eq!(cut.as_list::<i32>().value(0).as_string_view().value(0), "aaaaaaaaaaaaaé");
}

#[test]
fn a_clip_over_the_limit_becomes_empty_and_has_its_size() {
    let item = Arc::new(Field::new("item", DataType::BinaryView, true));
    let frames: ArrayRef =
        Arc::new(BinaryViewArray::from_iter([Some(&b"aaaa"[..]), Some(b"bbb"), None, Some(b"cc")]));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 2]);
    let clips: ArrayRef = Arc::new(ListArray::new(item, offsets, frames, None));
    let (left, large) = without_large(&clips, 6).unwrap();
    assert_eq!(large, [Some(7), None, None]);
    let lengths: Vec<usize> = left.as_list::<i32>().iter().map(|clip| clip.unwrap().len()).collect();
    assert_eq!(lengths, [0, 0, 2]);
    assert_eq!(left.as_list::<i32>().value(2).as_binary_view().value(1), b"cc");
    assert!(without_large(&clips, 7).is_none());
}
