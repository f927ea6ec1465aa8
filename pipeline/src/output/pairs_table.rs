//! Kept rows: image, texts, and the pass-through columns.

use super::{features::huggingface, judged_rows::JudgedRows};
use crate::input::{ImageInput, Origin};
use arrow::{
    array::{RecordBatch, UInt64Array},
    compute::take_record_batch,
    datatypes::{Field, SchemaRef},
    error::ArrowError,
};
use capfilt_schemas::{
    ledger::LedgerRow,
    pairs::{self, PairsRow, PairsText},
    settings::Images,
    texts::OptionalColumns,
};
use std::{borrow::Cow, sync::Arc};

/// Image bytes in one batch, unless a single image is larger (1 GiB at most): offsets of a binary array end
/// at 2 GiB, and a reader of the table holds a whole batch in memory.
const BATCH_BYTES: usize = 64 << 20;

/// Columns of the pairs table, with the metadata for Hugging Face's `datasets`.
pub(super) fn schema(passthrough: &[Field], optional: OptionalColumns) -> SchemaRef {
    let schema = pairs::schema(passthrough, optional);
    let mut metadata = schema.metadata().clone();
    metadata.extend(huggingface(&schema).map(|features| ("huggingface".to_owned(), features)));
    Arc::new(schema.as_ref().clone().with_metadata(metadata))
}

/// The kept rows, in as many batches as their images need.
pub(super) fn batches(
    schema: &SchemaRef,
    rows: &JudgedRows,
    images: Images,
) -> impl Iterator<Item = Result<RecordBatch, ArrowError>> {
    let kept = (0..rows.ledger.len()).filter(|&i| rows.ledger[i].keeps_a_text());
    let length = |i: usize| match &rows.images[i] {
        ImageInput::Bytes { bytes, .. } => bytes.len(),
        _ => 0,
    };
    let batches = within(BATCH_BYTES, kept.map(|i| (i, length(i))));
    batches.into_iter().map(move |kept| batch(schema, rows, &kept, images))
}

/// Splits consecutive items into groups of at most `limit`; a single larger item is a separate group.
fn within(limit: usize, sized: impl Iterator<Item = (usize, usize)>) -> Vec<Vec<usize>> {
    let (mut groups, mut left) = (Vec::<Vec<usize>>::new(), 0);
    for (thing, size) in sized {
        match groups.last_mut().filter(|_| size <= left) {
            Some(group) => group.push(thing),
            None => {
                groups.push(vec![thing]);
                left = limit;
            }
        }
        left = left.saturating_sub(size);
    }
    groups
}

fn batch(
    schema: &SchemaRef,
    rows: &JudgedRows,
    kept: &[usize],
    images: Images,
) -> Result<RecordBatch, ArrowError> {
    let pairs = kept.iter().map(|&i| row(&rows.ledger[i], &rows.images[i], images));
    let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
    let indices = UInt64Array::from_iter_values(kept.iter().map(|&i| i as u64));
    pairs::batch(schema, &pairs, take_record_batch(&rows.passthrough, &indices)?.columns())
}

/// The row of the pairs that a ledger row with a kept text gives.
pub(super) fn row<'a>(
    ledger: &'a LedgerRow,
    image: &'a ImageInput,
    images: Images,
) -> Result<PairsRow<'a>, ArrowError> {
    let (bytes, path) = match (image, images) {
        (ImageInput::Bytes { bytes, origin: Origin::Object { path } }, _) => {
            (Some(bytes), Some(Cow::from(path)))
        }
        (ImageInput::Bytes { bytes, origin: Origin::Row { path } }, Images::Embed) => {
            (Some(bytes), path.as_deref().map(Cow::from))
        }
        // A reference to the input row, because the path in the row may not exist.
        _ => (None, Some(Cow::from(format!("{}#{}", ledger.file, ledger.row)))),
    };
    let without_size =
        || ArrowError::InvalidArgumentError(format!("row {} keeps a text and has no image size", ledger.row));
    let (width, height) = ledger.width.zip(ledger.height).ok_or_else(without_size)?;
    let image = bytes.filter(|_| images == Images::Embed).map(AsRef::as_ref);
    Ok(PairsRow { key: ledger.key.as_deref(), image, path, width, height, texts: texts(ledger) })
}

fn texts(row: &LedgerRow) -> Vec<PairsText<'_>> {
    let kept = row.texts.iter().filter_map(|text| {
        let scored = text.scored.filter(|scored| scored.kept)?;
        let (source, itc) = (&*text.source, Some(scored.itc));
        let (text, clip) = (text.text.as_deref()?, scored.clip);
        Some(PairsText { source, text, itm: scored.itm, itc, clip })
    });
    kept.collect()
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn images_are_written_in_batches_that_an_array_can_hold() {
        let groups = |sizes: &[usize]| within(10, sizes.iter().copied().enumerate());
        assert_eq!(groups(&[4, 6, 1, 10, 3]), [vec![0, 1], vec![2], vec![3], vec![4]]);
        assert_eq!(groups(&[0, 0, 12, 0]), [vec![0, 1], vec![2, 3]]);
        assert!(groups(&[]).is_empty());
    }
}
