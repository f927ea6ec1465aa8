#![allow(clippy::unwrap_used)]

use super::*;
use arrow::{
    array::{FixedSizeBinaryArray, Int32Array},
    datatypes::{Field, TimeUnit},
};

/// Values as they are stored; `\xff` is not UTF-8.
fn stored(values: &[Option<&[u8]>]) -> ArrayRef {
    Arc::new(BinaryArray::from(values.to_vec()))
}

fn field(name: &str, kind: DataType, nullable: bool) -> FieldRef {
    Arc::new(Field::new(name, kind, nullable))
}

fn rows(restored: &Restored) -> Vec<usize> {
    assert!(restored.lost.values().all(|why| *why == Why::NotUtf8));
    restored.lost.keys().copied().collect()
}

#[test]
fn a_string_that_is_not_utf8_is_null_and_its_neighbours_stay() {
    let restored =
        restore(&stored(&[Some(b"a"), Some(b"\xff"), None, Some("é".as_bytes())]), &DataType::Utf8).unwrap();
    let expected = StringArray::from(vec![Some("a"), None, None, Some("é")]);
    assert_eq!((restored.array.as_string::<i32>(), rows(&restored)), (&expected, vec![1]));
    let sound = restore(&stored(&[Some(b"a"), None]), &DataType::Utf8).unwrap();
    assert_eq!((sound.array.null_count(), rows(&sound)), (1, vec![]));
}

#[test]
fn in_lists_and_structs_the_innermost_nullable_value_becomes_null() {
    for (nullable, of_list, of_struct) in [(true, [0, 1, 1], [0, 0, 0]), (false, [0, 0, 1], [0, 1, 0])] {
        let values = stored(&[Some(b"a"), Some(b"\xfe"), Some(b"b")]);
        let inner = |kind| field("item", kind, nullable);
        let offsets = OffsetBuffer::new(vec![0, 1, 3, 3].into());
        let list = ListArray::new(
            inner(DataType::Binary),
            offsets,
            Arc::clone(&values),
            Some(vec![true, true, false].into()),
        );
        let restored =
            restore(&(Arc::new(list) as ArrayRef), &DataType::List(inner(DataType::Utf8))).unwrap();
        assert_eq!(rows(&restored), [1]);
        let list = restored.array.as_list::<i32>();
        let nulls = [0, 1].map(|row| usize::from(list.is_valid(row) && list.value(row).null_count() == 1));
        let whole = usize::from(list.is_null(1));
        assert_eq!(([nulls[0], nulls[1]], whole), ([of_list[0], of_list[1]], usize::from(!nullable)));

        let fields = |kind| Fields::from(vec![field("n", DataType::Int32, false), inner(kind)]);
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3]));
        let cells = StructArray::new(fields(DataType::Binary), vec![numbers, values], None);
        let restored =
            restore(&(Arc::new(cells) as ArrayRef), &DataType::Struct(fields(DataType::Utf8))).unwrap();
        assert_eq!(rows(&restored), [1]);
        assert_eq!([0, 1, 2].map(|row| usize::from(restored.array.is_null(row))), of_struct);
        assert_eq!(restored.array.as_struct().column(1).is_null(1), nullable);
    }
}

#[test]
fn a_map_with_a_key_that_is_not_utf8_is_null_and_a_value_alone_is_null_alone() {
    let kind = |text: DataType| {
        let entry = Fields::from(vec![field("key", text.clone(), false), field("value", text, true)]);
        (entry.clone(), field("entries", DataType::Struct(entry), false))
    };
    let keys = stored(&[Some(b"a"), Some(b"\xff"), Some(b"c")]);
    let values = stored(&[Some(b"1"), Some(b"2"), Some(b"\xff")]);
    let (fields, entry) = kind(DataType::Binary);
    let offsets = OffsetBuffer::new(vec![0, 1, 2, 3].into());
    let map = MapArray::new(entry, offsets, StructArray::new(fields, vec![keys, values], None), None, false);
    let restored =
        restore(&(Arc::new(map) as ArrayRef), &DataType::Map(kind(DataType::Utf8).1, false)).unwrap();
    let map = restored.array.as_map();
    assert_eq!((rows(&restored), [0, 1, 2].map(|row| map.is_null(row))), (vec![1, 2], [false, true, false]));
    assert!(map.value(2).column(1).is_null(0));
}

#[test]
fn int96_covers_all_usual_years_and_reports_years_out_of_range() {
    let moment =
        |day: i32, nanoseconds: i64| [&nanoseconds.to_le_bytes()[..], &day.to_le_bytes()[..]].concat();
    let cells = [
        moment(2_440_588, 0),
        moment(2_440_588 + 2_932_896, 86_399_999_999_999), // the last day of 9999
        moment(1_721_426, 1_500),                          // the first day of the year 1
        moment(i32::MAX, 0),
    ];
    let cells: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_iter(cells.iter()).unwrap());
    let restored = restore(&cells, &DataType::Timestamp(TimeUnit::Microsecond, None)).unwrap();
    let expected: TimestampMicrosecondArray =
        [Some(0), Some(253_402_300_799_999_999), Some(-62_135_596_799_999_999), None].into_iter().collect();
    assert_eq!(restored.array.as_primitive(), &expected);
    assert_eq!(restored.lost, Places::from([(3, Why::BeyondMicroseconds)]));
}
