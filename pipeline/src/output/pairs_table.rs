//! Kept rows as Arrow columns: image, captions, and the pass-through columns.

use super::{features::huggingface, judged_rows::JudgedRows, ledger_table::field};
use crate::input::{ImageInput, Origin};
use arrow::{
    array::{
        ArrayRef, BinaryBuilder, Float32Builder, ListBuilder, RecordBatch, StringArray, StringBuilder,
        StructBuilder, UInt32Array, UInt64Array,
    },
    compute::take_record_batch,
    datatypes::{Field, SchemaRef},
    error::ArrowError,
};
use capfilt_schemas::{
    ledger::LedgerRow,
    pairs::{self, Source, caption_fields, caption_item, image_fields},
    settings::Images,
};
use std::sync::Arc;

/// Image bytes in one batch, unless a single image is larger (1 GiB at most): offsets of a binary array end
/// at 2 GiB, and a reader of the table holds a whole batch in memory.
const BATCH_BYTES: usize = 64 << 20;

/// Columns of the pairs table, with the metadata for Hugging Face's `datasets`.
pub(super) fn schema(passthrough: &[Field]) -> SchemaRef {
    let schema = pairs::schema(passthrough);
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
    let ledger = || kept.iter().map(|&i| &rows.ledger[i]);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(ledger().map(|row| row.key.as_deref()).collect::<StringArray>()),
        image_column(rows, kept, images),
        captions(ledger()),
        Arc::new(ledger().map(|row| row.width).collect::<UInt32Array>()),
        Arc::new(ledger().map(|row| row.height).collect::<UInt32Array>()),
    ];
    let indices = UInt64Array::from_iter_values(kept.iter().map(|&i| i as u64));
    columns.extend_from_slice(take_record_batch(&rows.passthrough, &indices)?.columns());
    RecordBatch::try_new(Arc::clone(schema), columns)
}

fn image_column(rows: &JudgedRows, kept: &[usize], images: Images) -> ArrayRef {
    let mut column = StructBuilder::from_fields(image_fields(), kept.len());
    for &i in kept {
        let (ledger, image) = (&rows.ledger[i], &rows.images[i]);
        let (bytes, path) = match (image, images) {
            (ImageInput::Bytes { bytes, origin: Origin::Object { path } }, _) => {
                (Some(bytes), Some(path.clone()))
            }
            (ImageInput::Bytes { bytes, origin: Origin::Row { path } }, Images::Embed) => {
                (Some(bytes), path.clone())
            }
            // A reference to the input row, because the path in the row may not exist.
            _ => (None, Some(format!("{}#{}", ledger.file, ledger.row))),
        };
        field::<BinaryBuilder>(&mut column, 0).append_option(bytes.filter(|_| images == Images::Embed));
        field::<StringBuilder>(&mut column, 1).append_option(path);
        column.append(true);
    }
    Arc::new(column.finish())
}

fn captions<'a>(rows: impl Iterator<Item = &'a LedgerRow>) -> ArrayRef {
    let mut list =
        ListBuilder::new(StructBuilder::from_fields(caption_fields(), 0)).with_field(caption_item());
    for row in rows {
        let web = row.web_score.filter(|score| score.kept).zip(row.web_text.as_deref());
        let web = web.map(|(score, text)| (text, Source::Web, score));
        let synthetic = row.synthetic.iter().filter_map(|caption| {
            let score = caption.scored.filter(|score| score.kept)?;
            Some((caption.text.as_str(), Source::Synthetic, score))
        });
        for (text, source, score) in web.into_iter().chain(synthetic) {
            let item = list.values();
            field::<StringBuilder>(item, 0).append_value(text);
            field::<StringBuilder>(item, 1).append_value(source.as_str());
            field::<Float32Builder>(item, 2).append_value(score.itm);
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
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
