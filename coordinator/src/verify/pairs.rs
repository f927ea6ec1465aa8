//! Compares the pairs with the ledger: equal rows in equal order, equal texts, and the images of the ledger.

use super::{
    ledger::{Kept, KeptRow},
    table::{Batches, Faults},
};
use arrow::datatypes::Schema;
use capfilt_schemas::{
    commit::Output,
    hash::sha256_hex,
    pairs::{self, PairsRow, PairsText, Version},
    settings::Images,
};
use capfilt_store::{Location, StoreError};

pub(super) async fn check(
    bucket: &Location,
    output: &Output,
    expected: &[KeptRow],
    images: Images,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let of_version = |found: &Schema| Version::of(found).schema();
    let Some(mut batches) = Batches::open(bucket, output, of_version, faults).await? else {
        return Ok(());
    };
    let version = Version::of(batches.schema());
    let mut rows = 0;
    while let Some(batch) = batches.next(faults).await? {
        for found in pairs::rows(&batch, version) {
            if let Some(expected) = expected.get(rows) {
                compare(&found, expected, images, faults);
            }
            rows += 1;
        }
    }
    faults.add_if(rows != expected.len(), || {
        format!("it has {rows} rows, the ledger keeps {}", expected.len())
    });
    Ok(())
}

fn compare(found: &PairsRow, expected: &KeptRow, images: Images, faults: &mut Faults) {
    let (row, key) = (expected.row, found.key);
    faults.add_if(key != expected.key.as_deref(), || {
        format!("row {row} was expected; the key is {key:?}, in the ledger it is {:?}", expected.key)
    });
    let is_equal = |(kept, ledger): (&PairsText, &Kept)| {
        (kept.source, kept.text, kept.itm) == (&ledger.source, &ledger.text, ledger.itm)
            && kept.itc.is_none_or(|itc| itc == ledger.itc)
    };
    let has_texts =
        found.texts.len() == expected.texts.len() && found.texts.iter().zip(&expected.texts).all(is_equal);
    faults.add_if(!has_texts, || format!("row {row} has other texts than the ledger keeps"));
    faults.add_if((Some(found.width), Some(found.height)) != expected.size, || {
        format!("row {row} has another image size than in the ledger")
    });
    if images == Images::Embed {
        faults.add_if(found.image.map(sha256_hex) != expected.image_sha256, || {
            format!("row {row} has another image than in the ledger")
        });
    }
}
