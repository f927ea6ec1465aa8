use super::*;
use crate::tables::dice;
use rand::RngExt as _;

#[test]
fn a_shard_s_id_changes_with_file_state_and_cut() {
    let id = ShardId::of("a", "1", 0..1);
    assert_eq!(id, ShardId::of("a", "1", 0..1));
    for other in [
        ShardId::of("b", "1", 0..1),
        ShardId::of("a", "2", 0..1),
        ShardId::of("a", "1", 0..2),
        ShardId::of("a1", "", 0..1),
    ] {
        assert_ne!(id, other);
    }
    assert_eq!(ShardId::parse(id.as_str()), Some(id));
    assert_eq!(ShardId::parse("../../etc"), None);
}

#[test]
fn shards_come_back_as_they_were_encoded_and_share_their_files() {
    let mut dice = dice();
    let mut shards = Vec::new();
    for number in 0..50 {
        let (path, etag) = (format!("web/{number}.parquet"), format!("\"{number:x}\""));
        let file = Arc::new(InputFile { path, etag, bytes: dice.random() });
        let mut start = 0;
        for _ in 0..dice.random_range(1..5) {
            let end = start + dice.random_range(1..9_u32);
            let part = match number % 3 {
                0 => Part::RowGroups(start..end),
                1 => Part::Bytes(u64::from(start)..u64::MAX),
                _ => Part::Rows(start.into()..end.into()),
            };
            start = end;
            let id = ShardId::of_part(&file.path, &file.etag, &part);
            let (first_row, rows, bytes) = (dice.random(), dice.random(), dice.random());
            let rows_exact = dice.random();
            shards.push(Shard { id, file: Arc::clone(&file), part, first_row, rows, rows_exact, bytes });
        }
    }
    let batch = batch(&shards);
    let found: Vec<Shard> = super::shards(&batch).map(Result::unwrap).collect();
    assert_eq!(found, shards);
    for (found, pair) in found.windows(2).zip(shards.windows(2)) {
        let is_shared = Arc::ptr_eq(&found[0].file, &found[1].file);
        assert_eq!(is_shared, Arc::ptr_eq(&pair[0].file, &pair[1].file));
    }
}

#[test]
fn an_id_covers_the_unit_of_the_part_and_ids_of_row_groups_are_those_of_version_1() {
    let of = |part| ShardId::of_part("a", "1", &part);
    assert_eq!(of(Part::RowGroups(0..1)), ShardId::of("a", "1", 0..1));
    assert_ne!(of(Part::Bytes(0..1)), of(Part::Rows(0..1)));
    assert_ne!(of(Part::Bytes(0..1)), of(Part::RowGroups(0..1)));
}

#[test]
fn a_plan_of_version_1_is_read_and_its_rows_are_exact() {
    let id = ShardId::of("a", "1", 3..5);
    let numbers = |value: u64| Arc::new(UInt64Array::from(vec![value])) as ArrayRef;
    let groups = |value: u32| Arc::new(UInt32Array::from(vec![value])) as ArrayRef;
    let text = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let columns = vec![
        text(id.as_str()),
        text("a"),
        text("1"),
        numbers(9),
        groups(3),
        groups(5),
        numbers(30),
        numbers(20),
        numbers(8),
    ];
    let batch = RecordBatch::try_new(Arc::new(first_schema()), columns).unwrap();
    assert!(is_readable(&batch.schema()) && is_readable(&schema()));
    let file = Arc::new(InputFile { path: "a".to_owned(), etag: "1".to_owned(), bytes: 9 });
    let part = Part::RowGroups(3..5);
    let planned = Shard { id, file, part, first_row: 30, rows: 20, rows_exact: true, bytes: 8 };
    assert_eq!(shards(&batch).collect::<Vec<_>>(), [Ok(planned)]);
}

#[test]
fn a_part_with_an_unknown_unit_is_an_error() {
    assert_eq!(Part::new("row_groups", 0..1 << 40), None);
    assert_eq!(Part::new("pages", 0..1), None);
    assert_eq!(Part::Bytes(3..5).to(&Part::Bytes(5..9)), Part::Bytes(3..9));
}

#[test]
fn a_text_that_is_not_a_shard_id_is_an_error() {
    let file = Arc::new(InputFile { path: "a".to_owned(), etag: String::new(), bytes: 1 });
    let id = ShardId::of("a", "", 0..1);
    let part = Part::RowGroups(0..1);
    let batch = batch(&[Shard { id, file, part, first_row: 0, rows: 1, rows_exact: true, bytes: 1 }]);
    let mut columns = batch.columns().to_vec();
    columns[0] = Arc::new(StringArray::from(vec!["../../etc"]));
    let batch = RecordBatch::try_new(schema(), columns).unwrap();
    let found: Vec<_> = shards(&batch).collect();
    assert_eq!(found, [Err(NotAShard::Id("../../etc".to_owned()))]);
}
