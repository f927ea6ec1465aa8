//! Kept rows as Arrow columns: image, captions, and the columns that pass through.

use super::{features::huggingface, ledger_table::field, writer::JudgedRows};
use crate::input::ImageInput;
use arrow::{
    array::{
        ArrayRef, Float32Builder, LargeBinaryBuilder, ListBuilder, RecordBatch, StringArray, StringBuilder,
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

/// Columns of the pairs table, with what Hugging Face's `datasets` wants to know of them.
pub(super) fn schema(passthrough: &[Field]) -> SchemaRef {
    let schema = pairs::schema(passthrough);
    let mut metadata = schema.metadata().clone();
    metadata.extend(huggingface(&schema).map(|features| ("huggingface".to_owned(), features)));
    Arc::new(schema.as_ref().clone().with_metadata(metadata))
}

pub(super) fn batch(schema: &SchemaRef, rows: &JudgedRows, images: Images) -> Result<RecordBatch, ArrowError> {
    let kept: Vec<usize> = (0..rows.ledger.len()).filter(|&i| rows.ledger[i].keeps_a_text()).collect();
    let ledger = || kept.iter().map(|&i| &rows.ledger[i]);
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(ledger().map(|row| row.key.as_deref()).collect::<StringArray>()),
        image_column(rows, &kept, images),
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
        let (bytes, path) = match image {
            ImageInput::Bytes { bytes, path } => (Some(bytes), path.clone()),
            _ => (None, None),
        };
        let embedded = bytes.filter(|_| images == Images::Embed);
        // A reference names the object, or the row of the input file that holds the bytes.
        let path = match images {
            Images::Embed => path,
            Images::Reference => Some(path.unwrap_or_else(|| format!("{}#{}", ledger.file, ledger.row))),
        };
        field::<LargeBinaryBuilder>(&mut column, 0).append_option(embedded);
        field::<StringBuilder>(&mut column, 1).append_option(path);
        column.append(true);
    }
    Arc::new(column.finish())
}

fn captions<'a>(rows: impl Iterator<Item = &'a LedgerRow>) -> ArrayRef {
    let mut list = ListBuilder::new(StructBuilder::from_fields(caption_fields(), 0)).with_field(caption_item());
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
