//! Ledger, pairs and quarantine in the format of a worker process, for generated rows.

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float32Array, Float32Builder, LargeBinaryArray, ListBuilder,
    RecordBatch, StringArray, StringBuilder, StructBuilder, UInt32Array, UInt64Array,
};
use bytes::Bytes;
use capfilt_schemas::{
    ledger::{self, LedgerRow, Scored, SyntheticText},
    pairs,
    plan::Shard,
    quarantine,
    status::{RowStatus, WebStatus},
    tally::Tally,
};
use parquet::arrow::ArrowWriter;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

fn image(row: u64) -> String {
    format!("image {row}")
}

fn scored(itm: f32) -> Scored {
    Scored { itm, itc: 0.1, kept: itm >= 0.5 }
}

/// Every fifth row has a broken image; texts of the remaining rows are kept or dropped in turn.
pub fn ledger_rows(shard: &Shard) -> Vec<LedgerRow> {
    (shard.first_row..shard.first_row + shard.rows)
        .map(|row| {
            let is_judged = row % 5 != 4;
            let itm = |factor: u64| (row * factor % 10) as f32 / 10.0;
            LedgerRow {
                key: Some(format!("k{row}")),
                file: shard.file.path.clone(),
                row,
                image_sha256: Some(Sha256::digest(image(row)).into()),
                width: is_judged.then_some(64),
                height: is_judged.then_some(48),
                status: if is_judged { RowStatus::Judged } else { RowStatus::ImageUndecodable },
                web_text: Some(format!("text {row}")),
                web_status: if is_judged { WebStatus::Judged } else { WebStatus::NotReached },
                web_score: is_judged.then(|| scored(itm(3))),
                synthetic: if is_judged {
                    vec![SyntheticText { text: format!("a {row}"), scored: Some(scored(itm(7))) }]
                } else {
                    vec![]
                },
                control_itm: is_judged.then_some(0.05),
                detail: None,
            }
        })
        .collect()
}

pub fn tally(rows: &[LedgerRow]) -> Tally {
    let mut tally = Tally::default();
    for row in rows {
        *tally.rows.entry(row.status).or_default() += 1;
        if row.status == RowStatus::Judged {
            *tally.web.entry(row.web_status).or_default() += 1;
            tally.web_kept += u64::from(row.web_score.is_some_and(|s| s.kept));
            tally.synthetic += row.synthetic.len() as u64;
            tally.synthetic_kept +=
                row.synthetic.iter().filter(|s| s.scored.is_some_and(|s| s.kept)).count() as u64;
            tally.pairs += u64::from(row.keeps_a_text());
        }
    }
    tally
}

fn texts<'a>(rows: &'a [LedgerRow], of: impl Fn(&'a LedgerRow) -> Option<&'a str>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<StringArray>())
}

pub fn ledger(rows: &[LedgerRow]) -> RecordBatch {
    let floats = |of: fn(&LedgerRow) -> Option<f32>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<Float32Array>())
    };
    let sizes = |of: fn(&LedgerRow) -> Option<u32>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<UInt32Array>())
    };
    let kept: arrow::array::BooleanArray = rows.iter().map(|r| r.web_score.map(|s| s.kept)).collect();
    let columns = vec![
        texts(rows, |r| r.key.as_deref()),
        texts(rows, |r| Some(&r.file)),
        Arc::new(rows.iter().map(|r| r.row).collect::<UInt64Array>()) as ArrayRef,
        Arc::new(rows.iter().map(|r| r.image_sha256.map(hex::encode)).collect::<StringArray>()),
        sizes(|r| r.width),
        sizes(|r| r.height),
        texts(rows, |r| Some(r.status.as_str())),
        texts(rows, |r| r.web_text.as_deref()),
        texts(rows, |r| Some(r.web_status.as_str())),
        floats(|r| r.web_score.map(|s| s.itm)),
        floats(|r| r.web_score.map(|s| s.itc)),
        Arc::new(kept),
        synthetic(rows),
        floats(|r| r.control_itm),
        texts(rows, |r| r.detail.as_deref()),
    ];
    RecordBatch::try_new(ledger::schema(), columns).unwrap()
}

fn synthetic(rows: &[LedgerRow]) -> ArrayRef {
    let mut list = ListBuilder::new(StructBuilder::from_fields(ledger::synthetic_fields(), 0))
        .with_field(ledger::synthetic_item());
    for row in rows {
        for caption in &row.synthetic {
            let item = list.values();
            item.field_builder::<StringBuilder>(0).unwrap().append_value(&caption.text);
            item.field_builder::<Float32Builder>(1).unwrap().append_option(caption.scored.map(|s| s.itm));
            item.field_builder::<Float32Builder>(2).unwrap().append_option(caption.scored.map(|s| s.itc));
            item.field_builder::<BooleanBuilder>(3)
                .unwrap()
                .append_value(caption.scored.is_some_and(|s| s.kept));
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

pub fn pairs(rows: &[LedgerRow]) -> RecordBatch {
    let kept: Vec<&LedgerRow> = rows.iter().filter(|row| row.keeps_a_text()).collect();
    let mut images = StructBuilder::from_fields(pairs::image_fields(), 0);
    let mut list = ListBuilder::new(StructBuilder::from_fields(pairs::caption_fields(), 0))
        .with_field(pairs::caption_item());
    for row in &kept {
        images.field_builder::<BinaryBuilder>(0).unwrap().append_value(image(row.row));
        images.field_builder::<StringBuilder>(1).unwrap().append_null();
        images.append(true);
        let web = row.web_score.filter(|s| s.kept).map(|s| (row.web_text.clone().unwrap(), "web", s.itm));
        let synthetic = row
            .synthetic
            .iter()
            .filter_map(|s| Some((s.text.clone(), "synthetic", s.scored.filter(|s| s.kept)?.itm)));
        for (text, source, itm) in web.into_iter().chain(synthetic) {
            let item = list.values();
            item.field_builder::<StringBuilder>(0).unwrap().append_value(text);
            item.field_builder::<StringBuilder>(1).unwrap().append_value(source);
            item.field_builder::<Float32Builder>(2).unwrap().append_value(itm);
            item.append(true);
        }
        list.append(true);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(kept.iter().map(|row| row.key.clone()).collect::<StringArray>()),
        Arc::new(images.finish()),
        Arc::new(list.finish()),
        Arc::new(kept.iter().map(|row| row.width).collect::<UInt32Array>()),
        Arc::new(kept.iter().map(|row| row.height).collect::<UInt32Array>()),
    ];
    RecordBatch::try_new(pairs::schema(&[]), columns).unwrap()
}

pub fn quarantine(rows: &[LedgerRow]) -> RecordBatch {
    let set_aside: Vec<LedgerRow> = rows.iter().filter(|row| row.status.is_quarantined()).cloned().collect();
    let images: LargeBinaryArray = set_aside.iter().map(|row| Some(image(row.row).into_bytes())).collect();
    let bytes: LargeBinaryArray =
        set_aside.iter().map(|row| row.web_text.as_ref().map(|text| text.as_bytes())).collect();
    let columns: Vec<ArrayRef> = vec![
        texts(&set_aside, |r| r.key.as_deref()),
        texts(&set_aside, |r| Some(&r.file)),
        Arc::new(set_aside.iter().map(|r| r.row).collect::<UInt64Array>()),
        texts(&set_aside, |r| Some(r.status.as_str())),
        texts(&set_aside, |r| r.detail.as_deref()),
        Arc::new(images),
        Arc::new(bytes),
    ];
    RecordBatch::try_new(quarantine::schema(), columns).unwrap()
}

pub fn encode(batch: &RecordBatch) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}
