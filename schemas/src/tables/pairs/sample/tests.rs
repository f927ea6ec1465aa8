use super::*;
use crate::tables::dice;
use rand::RngExt as _;

fn text(text: &str, itm: f32) -> PairsText<'_> {
    PairsText { source: "alt", text, itm, itc: Some(-itm), clip: None }
}

fn row(texts: Vec<PairsText<'_>>) -> PairsRow<'_> {
    PairsRow { key: Some("a\"é"), image: Some(b"image"), path: None, width: 4, height: 3, texts }
}

#[test]
fn a_row_and_its_passthrough_columns_come_back_exactly() {
    let mut dice = dice();
    for _ in 0..2000 {
        let score = |dice: &mut rand::rngs::StdRng| match f32::from_bits(dice.random()) {
            score if score.is_finite() => score,
            _ => 0.5,
        };
        let texts = vec![text("a dog", score(&mut dice)), text("雪\n\"", dice.random())];
        let number = f64::from_bits(dice.random());
        let passed = [
            ("f64", Value::from(if number.is_finite() { number } else { 0.1 })),
            ("f32", Value::from(score(&mut dice))),
            ("i64", Value::from(dice.random::<i64>())),
            ("whole", Value::from(3.0)),
            ("a \"name\": {", json!("1, }")),
            ("none", Value::Null),
            ("flag", json!(true)),
            ("list", json!(["a", {"b": 1}])),
        ];
        let passed: Map<String, Value> =
            passed.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let row = row(texts);
        let json = encode_sample(&row, passed.clone());
        let sample = Sample::decode(&json).unwrap();
        assert_eq!(sample.row(row.image), row);
        assert_eq!(sample.passthrough, passed);
        assert_eq!(encode_sample(&sample.row(row.image), sample.passthrough.clone()), json);
    }
}

#[test]
fn the_best_text_is_the_first_of_the_highest_score() {
    let texts = [text("a", 0.5), text("b", 0.9), text("c", 0.9)];
    assert_eq!(best_text(&texts), Some("b"));
    assert_eq!(best_text(&[]), None);
}

#[test]
fn a_record_that_is_not_one_or_newer_is_refused() {
    let record = String::from_utf8(encode_sample(&row(vec![]), Map::new())).unwrap();
    let newer = record.replace("\"version\":2", "\"version\":3");
    assert!(Sample::decode(newer.as_bytes()).unwrap_err().contains("newer capfilt"));
    for (from, to) in [("{", "["), ("\"width\":4", "\"width\":-4"), ("\"texts\"", "\"captions\"")] {
        assert!(Sample::decode(record.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
    let pretty = serde_json::to_vec_pretty(&serde_json::from_str::<Value>(&record).unwrap()).unwrap();
    assert_eq!(Sample::decode(&pretty), Sample::decode(record.as_bytes()));
}

#[test]
fn names_sort_as_rows_do() {
    let name = |row| sample_name("web/a.parquet", row);
    assert!(name(9) < name(10));
    assert_ne!(name(9), sample_name("web/b.parquet", 9));
    assert!(!name(10).contains('.'), "a suffix begins at the first dot");
}
