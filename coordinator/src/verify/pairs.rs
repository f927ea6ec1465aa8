//! Compares the pairs with the ledger: equal rows in equal order, equal texts, and the images of the ledger.

use super::{
    ledger::{Caption, KeptRow},
    table::{Batches, Faults},
};
use arrow::{
    array::{Array, AsArray as _, RecordBatch, StructArray},
    datatypes::{Float32Type, UInt32Type},
};
use capfilt_schemas::{commit::Output, hash::sha256_hex, pairs, settings::Images};
use capfilt_store::{Location, StoreError};

pub(super) async fn check(
    bucket: &Location,
    output: &Output,
    expected: &[KeptRow],
    images: Images,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let Some(mut batches) = Batches::open(bucket, output, &pairs::schema(&[]), faults).await? else {
        return Ok(());
    };
    let mut rows = 0;
    while let Some(batch) = batches.next(faults).await? {
        for i in 0..batch.num_rows() {
            if let Some(expected) = expected.get(rows) {
                compare(&batch, i, expected, images, faults);
            }
            rows += 1;
        }
    }
    faults.add_if(rows != expected.len(), || {
        format!("it has {rows} rows, the ledger keeps {}", expected.len())
    });
    Ok(())
}

fn compare(batch: &RecordBatch, i: usize, expected: &KeptRow, images: Images, faults: &mut Faults) {
    let column =
        |name: &str| batch.column_by_name(name).expect("the columns were checked when the table was opened");
    let row = expected.row;
    let keys = column("key").as_string::<i32>();
    let key = keys.is_valid(i).then(|| keys.value(i));
    faults.add_if(key != expected.key.as_deref(), || {
        format!("row {row} was expected; the key is {key:?}, in the ledger it is {:?}", expected.key)
    });
    let captions = captions(column("captions").as_list::<i32>().value(i).as_struct());
    faults.add_if(captions != expected.captions, || {
        format!("row {row} has other captions than the ledger keeps")
    });
    let side = |name: &str| Some(column(name).as_primitive::<UInt32Type>().value(i));
    faults.add_if((side("width"), side("height")) != expected.size, || {
        format!("row {row} has another image size than in the ledger")
    });
    if images == Images::Embed {
        let bytes = column("image").as_struct().column_by_name("bytes").expect("a field of the image column");
        let bytes = bytes.as_binary::<i32>();
        let sha256 = bytes.is_valid(i).then(|| sha256_hex(bytes.value(i)));
        faults.add_if(sha256 != expected.image_sha256, || {
            format!("row {row} has another image than in the ledger")
        });
    }
}

fn captions(cells: &StructArray) -> Vec<Caption> {
    let column =
        |name: &str| cells.column_by_name(name).expect("the columns were checked when the table was opened");
    let (texts, sources) = (column("text").as_string::<i32>(), column("source").as_string::<i32>());
    let itms = column("itm").as_primitive::<Float32Type>();
    let source = |i: usize| {
        let known = [pairs::Source::Web, pairs::Source::Synthetic].map(pairs::Source::as_str);
        known.into_iter().find(|known| *known == sources.value(i)).unwrap_or("unknown")
    };
    (0..cells.len())
        .map(|i| Caption { text: texts.value(i).to_owned(), source: source(i), itm: itms.value(i) })
        .collect()
}
