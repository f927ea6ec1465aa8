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
            let row_groups = start..start + dice.random_range(1..9);
            start = row_groups.end;
            let id = ShardId::of(&file.path, &file.etag, row_groups.clone());
            let (first_row, rows, bytes) = (dice.random(), dice.random(), dice.random());
            shards.push(Shard { id, file: Arc::clone(&file), row_groups, first_row, rows, bytes });
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
fn a_text_that_is_not_a_shard_id_is_an_error() {
    let file = Arc::new(InputFile { path: "a".to_owned(), etag: String::new(), bytes: 1 });
    let id = ShardId::of("a", "", 0..1);
    let batch = batch(&[Shard { id, file, row_groups: 0..1, first_row: 0, rows: 1, bytes: 1 }]);
    let mut columns = batch.columns().to_vec();
    columns[0] = Arc::new(StringArray::from(vec!["../../etc"]));
    let batch = RecordBatch::try_new(schema(), columns).unwrap();
    let found: Vec<_> = shards(&batch).collect();
    assert_eq!(found, [Err(NotAShardId("../../etc".to_owned()))]);
}
