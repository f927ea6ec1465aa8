//! Compares the pairs with the ledger: equal rows in equal order, equal texts, and the images of the ledger.

use super::{
    ledger::{Kept, KeptRow},
    table::{Batches, Faults},
};
use arrow::datatypes::Schema;
use capfilt_schemas::{
    commit::Output,
    hash::sha256_hex,
    pairs::{self, PairsRow, PairsText, Sample, Version},
    plan::Shard,
    settings::Images,
};
use capfilt_store::{
    Location, StoreError,
    tar::{self, WholeSample, WholeSamples},
};

pub(super) async fn check(
    bucket: &Location,
    output: &Output,
    shard: &Shard,
    expected: &[KeptRow],
    images: Images,
    faults: &mut Faults,
) -> Result<(), StoreError> {
    let rows = match output.is_tar() {
        true => check_tar(bucket, output, shard, expected, faults).await?,
        false => check_table(bucket, output, expected, images, faults).await?,
    };
    faults.add_if(rows.is_some_and(|rows| rows != expected.len()), || {
        format!("it has {} rows, the ledger keeps {}", rows.unwrap_or_default(), expected.len())
    });
    Ok(())
}

/// Compares a Parquet file; returns its rows, or `None` with a fault.
async fn check_table(
    bucket: &Location,
    output: &Output,
    expected: &[KeptRow],
    images: Images,
    faults: &mut Faults,
) -> Result<Option<usize>, StoreError> {
    let of_version = |found: &Schema| Version::of(found).schema();
    let Some(mut batches) = Batches::open(bucket, output, of_version, faults).await? else {
        return Ok(None);
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
    Ok(Some(rows))
}

/// Compares the samples of a tar; returns their number.
async fn check_tar(
    bucket: &Location,
    output: &Output,
    shard: &Shard,
    expected: &[KeptRow],
    faults: &mut Faults,
) -> Result<Option<usize>, StoreError> {
    let mut samples = WholeSamples::of_output(bucket, output);
    let mut rows = 0;
    loop {
        let sample = match samples.next().await? {
            Ok(Some(sample)) => sample,
            Ok(None) => return Ok(Some(rows)),
            Err(fault) => {
                faults.add(|| fault);
                return Ok(None);
            }
        };
        if let Some(expected) = expected.get(rows) {
            compare_sample(&sample, shard, expected, faults);
        }
        rows += 1;
    }
}

fn compare_sample(sample: &WholeSample, shard: &Shard, expected: &KeptRow, faults: &mut Faults) {
    let name = pairs::sample_name(&shard.file.path, expected.row);
    faults.add_if(sample.name != name, || format!("sample {name} was expected, {} was found", sample.name));
    let json = sample.member(tar::RECORD).map(AsRef::as_ref).unwrap_or_default();
    let record = match Sample::decode(json) {
        Ok(record) => record,
        Err(why) => return faults.add(|| format!("the .json of sample {name} is not readable: {why}")),
    };
    let found = record.row(sample.member(tar::IMAGE).map(AsRef::as_ref));
    let text = sample.member(tar::TEXT).map(AsRef::as_ref);
    faults.add_if(text != pairs::best_text(&found.texts).map(str::as_bytes), || {
        format!("the .txt of sample {name} is not the text with the highest P(match)")
    });
    compare(&found, expected, Images::Embed, faults);
}

fn compare(found: &PairsRow, expected: &KeptRow, images: Images, faults: &mut Faults) {
    let (row, key) = (expected.row, found.key);
    faults.add_if(key != expected.key.as_deref(), || {
        format!("row {row} was expected; the key is {key:?}, in the ledger it is {:?}", expected.key)
    });
    let is_equal = |(kept, ledger): (&PairsText, &Kept)| {
        (kept.source, kept.text, kept.itm, kept.clip)
            == (&ledger.source, &ledger.text, ledger.itm, ledger.clip)
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
