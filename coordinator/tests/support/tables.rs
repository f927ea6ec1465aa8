//! Ledger, pairs and quarantine in the format of a worker process, for generated rows.

use arrow::array::RecordBatch;
use bytes::Bytes;
use capfilt_schemas::{
    ledger::LedgerRow,
    pairs::{self, PairsRow, PairsText},
    plan::Shard,
    quarantine::{self, QuarantineRow, QuarantineText},
    status::{RowStatus, TextStatus},
    tally::Tally,
    texts::{LedgerText, OptionalColumns, SYNTHETIC, Scored},
};
use parquet::arrow::ArrowWriter;
use sha2::{Digest as _, Sha256};

fn image(row: u64) -> String {
    format!("image {row}")
}

fn scored(itm: f32) -> Scored {
    Scored { itm, itc: 0.1, clip: None, kept: itm >= 0.5 }
}

/// Every fifth row has a broken image; texts of the remaining rows are kept or dropped in turn.
pub fn ledger_rows(shard: &Shard) -> Vec<LedgerRow> {
    (shard.first_row..shard.first_row + shard.rows)
        .map(|row| {
            let is_judged = row % 5 != 4;
            let itm = |factor: u64| (row * factor % 10) as f32 / 10.0;
            let text =
                |source: &str, text: String, status| LedgerText::new(source.into(), Some(text), status);
            let alt = text("caption", format!("text {row}"), TextStatus::NotReached);
            let own = LedgerRow {
                key: Some(format!("k{row}")),
                image_sha256: Some(Sha256::digest(image(row)).into()),
                texts: vec![alt.clone()],
                ..LedgerRow::missing(&shard.file.path, row)
            };
            if !is_judged {
                return LedgerRow { status: RowStatus::ImageUndecodable, ..own };
            }
            let judged = |text: LedgerText, itm| LedgerText {
                status: TextStatus::Judged,
                scored: Some(scored(itm)),
                ..text
            };
            let caption = text(SYNTHETIC, format!("a {row}"), TextStatus::Judged);
            LedgerRow {
                width: Some(64),
                height: Some(48),
                status: RowStatus::Judged,
                texts: vec![judged(alt, itm(3)), judged(caption, itm(7))],
                control_itm: Some(0.05),
                control_clip: None,
                ..own
            }
        })
        .collect()
}

pub fn tally(rows: &[LedgerRow]) -> Tally {
    let mut tally = Tally::default();
    rows.iter().for_each(|row| tally.add(row));
    tally
}

pub fn pairs(rows: &[LedgerRow]) -> RecordBatch {
    let kept: Vec<&LedgerRow> = rows.iter().filter(|row| row.keeps_a_text()).collect();
    let images: Vec<String> = kept.iter().map(|row| image(row.row)).collect();
    let pairs = kept.iter().zip(&images).map(|(row, image)| PairsRow {
        key: row.key.as_deref(),
        image: Some(image.as_bytes()),
        path: None,
        width: row.width.unwrap(),
        height: row.height.unwrap(),
        texts: row.kept().map(pairs_text).collect(),
    });
    pairs::batch(&pairs::schema(&[], OptionalColumns::default()), &pairs.collect::<Vec<_>>(), &[]).unwrap()
}

fn pairs_text(kept: &LedgerText) -> PairsText<'_> {
    let scored = kept.scored.unwrap();
    let text = kept.text.as_deref().unwrap();
    PairsText { source: &kept.source, text, itm: scored.itm, itc: Some(scored.itc), clip: None }
}

fn bytes_of(text: &LedgerText) -> QuarantineText<'_> {
    QuarantineText { source: &text.source, text: text.text.as_deref().map(str::as_bytes) }
}

pub fn quarantine(rows: &[LedgerRow]) -> RecordBatch {
    let set_aside: Vec<&LedgerRow> = rows.iter().filter(|row| row.status.is_quarantined()).collect();
    let images: Vec<String> = set_aside.iter().map(|row| image(row.row)).collect();
    let set_aside = set_aside.iter().zip(&images).map(|(row, image)| QuarantineRow {
        key: row.key.as_deref(),
        file: &row.file,
        row: row.row,
        status: row.status.as_str(),
        detail: row.detail.as_deref(),
        image: Some(image.as_bytes()),
        texts: row.texts.iter().map(bytes_of).collect(),
    });
    quarantine::batch(&set_aside.collect::<Vec<_>>()).unwrap()
}

pub fn encode(batch: &RecordBatch) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}
