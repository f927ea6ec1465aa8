//! Compares the pairs with the ledger: equal rows in equal order, equal texts, and the images of the ledger.

use super::{
    ledger::{Caption, KeptRow},
    table::{Batches, Faults},
};
use capfilt_schemas::{
    commit::Output,
    hash::sha256_hex,
    pairs::{self, PairsRow, PairsText},
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
    let Some(mut batches) = Batches::open(bucket, output, &pairs::schema(&[]), faults).await? else {
        return Ok(());
    };
    let mut rows = 0;
    while let Some(batch) = batches.next(faults).await? {
        for found in pairs::rows(&batch) {
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
    let caption = |kept: &PairsText, caption: &Caption| {
        (kept.text, kept.source, kept.itm) == (&caption.text, caption.source, caption.itm)
    };
    let has_captions = found.captions.len() == expected.captions.len()
        && found.captions.iter().zip(&expected.captions).all(|(kept, ledger)| caption(kept, ledger));
    faults.add_if(!has_captions, || format!("row {row} has other captions than the ledger keeps"));
    faults.add_if((Some(found.width), Some(found.height)) != expected.size, || {
        format!("row {row} has another image size than in the ledger")
    });
    if images == Images::Embed {
        faults.add_if(found.image.map(sha256_hex) != expected.image_sha256, || {
            format!("row {row} has another image than in the ledger")
        });
    }
}
