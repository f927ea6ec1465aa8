use super::*;
use crate::status::RowStatus;
use crate::tables::dice;
use rand::{RngExt as _, rngs::StdRng, seq::IndexedRandom as _};

const WORDS: [&str; 4] = ["a dog", "", "naïve", "雪"];

fn row(dice: &mut StdRng) -> QuarantineRow<'static> {
    let bytes: [&[u8]; 3] = [b"\xff\xd8", b"", b"\x00not UTF-8: \xc3"];
    let maybe = |dice: &mut StdRng| dice.random_bool(0.6).then(|| *WORDS.choose(dice).unwrap());
    let maybe_bytes = |dice: &mut StdRng| dice.random_bool(0.6).then(|| *bytes.choose(dice).unwrap());
    QuarantineRow {
        key: maybe(dice),
        file: WORDS.choose(dice).unwrap(),
        row: dice.random(),
        status: RowStatus::ALL.choose(dice).unwrap().as_str(),
        detail: maybe(dice),
        image: maybe_bytes(dice),
        texts: (0..dice.random_range(0..3))
            .map(|_| QuarantineText { source: WORDS.choose(dice).unwrap(), text: maybe_bytes(dice) })
            .collect(),
    }
}

#[test]
fn rows_come_back_as_they_were_encoded() {
    let mut dice = dice();
    for _ in 0..50 {
        let rows: Vec<QuarantineRow> = (0..dice.random_range(0..20)).map(|_| row(&mut dice)).collect();
        assert!(super::rows(&batch(&rows).unwrap()).eq(rows.iter().cloned()));
    }
}

#[test]
fn a_quarantine_of_version_1_is_read_in_the_shape_of_this_version() {
    let now = batch(&[row(&mut dice())]).unwrap();
    let mut columns = now.columns().to_vec();
    let texts: ArrayRef = Arc::new(LargeBinaryArray::from_opt_vec(vec![Some(b"a dog")]));
    *columns.last_mut().unwrap() = texts;
    let mut fields: Vec<Field> = schema().fields().iter().map(|field| field.as_ref().clone()).collect();
    *fields.last_mut().unwrap() = Field::new(WEB_TEXT, DataType::LargeBinary, true);
    let earlier = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert_eq!(schema_of(&earlier.schema()).fields(), earlier.schema().fields());
    let read = super::rows(&earlier).next().unwrap();
    assert_eq!(read.texts, [QuarantineText { source: "web", text: Some(b"a dog") }]);
}
