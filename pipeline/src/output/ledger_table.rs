//! Ledger rows as Arrow columns.

use arrow::{
    array::{
        ArrayRef, BooleanArray, BooleanBuilder, Float32Array, Float32Builder, ListBuilder, RecordBatch,
        StringArray, StringBuilder, StructBuilder, UInt32Array, UInt64Array,
    },
    error::ArrowError,
};
use capfilt_schemas::ledger::{LedgerRow, Scored, schema, synthetic_fields, synthetic_item};
use std::sync::Arc;

pub(super) fn batch(rows: &[LedgerRow]) -> Result<RecordBatch, ArrowError> {
    let texts = |cell: fn(&LedgerRow) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<StringArray>())
    };
    let sizes = |cell: fn(&LedgerRow) -> Option<u32>| -> ArrayRef {
        Arc::new(rows.iter().map(cell).collect::<UInt32Array>())
    };
    let scores = |cell: fn(&Scored) -> f32| -> ArrayRef {
        Arc::new(rows.iter().map(|row| row.web_score.as_ref().map(cell)).collect::<Float32Array>())
    };
    let hashes: StringArray = rows.iter().map(|row| row.image_sha256.map(hex::encode)).collect();
    let kept: BooleanArray = rows.iter().map(|row| row.web_score.map(|score| score.kept)).collect();
    let control: Float32Array = rows.iter().map(|row| row.control_itm).collect();
    let columns: Vec<ArrayRef> = vec![
        texts(|row| row.key.as_deref()),
        texts(|row| Some(&row.file)),
        Arc::new(rows.iter().map(|row| row.row).collect::<UInt64Array>()),
        Arc::new(hashes),
        sizes(|row| row.width),
        sizes(|row| row.height),
        texts(|row| Some(row.status.as_str())),
        texts(|row| row.web_text.as_deref()),
        texts(|row| Some(row.web_status.as_str())),
        scores(|score| score.itm),
        scores(|score| score.itc),
        Arc::new(kept),
        synthetic(rows),
        Arc::new(control),
        texts(|row| row.detail.as_deref()),
    ];
    RecordBatch::try_new(schema(), columns)
}

fn synthetic(rows: &[LedgerRow]) -> ArrayRef {
    let fields = StructBuilder::from_fields(synthetic_fields(), rows.len());
    let mut list = ListBuilder::new(fields).with_field(synthetic_item());
    for row in rows {
        for caption in &row.synthetic {
            let item = list.values();
            field::<StringBuilder>(item, 0).append_value(&caption.text);
            field::<Float32Builder>(item, 1).append_option(caption.scored.map(|score| score.itm));
            field::<Float32Builder>(item, 2).append_option(caption.scored.map(|score| score.itc));
            field::<BooleanBuilder>(item, 3).append_value(caption.scored.is_some_and(|score| score.kept));
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

/// Builder of a struct's field, whose type the schema fixes.
pub(super) fn field<B: arrow::array::ArrayBuilder>(item: &mut StructBuilder, index: usize) -> &mut B {
    item.field_builder(index).expect("the schema's field has this type")
}
