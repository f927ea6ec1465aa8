//! Ledger, pairs and quarantine in the format of a worker process, for generated rows.

use arrow::array::RecordBatch;
use bytes::Bytes;
use capfilt_schemas::{
    ledger::{LedgerRow, Scored, SyntheticText},
    pairs::{self, PairsRow, PairsText},
    plan::Shard,
    quarantine::{self, QuarantineRow},
    status::{RowStatus, WebStatus},
    tally::Tally,
};
use parquet::arrow::ArrowWriter;
use sha2::{Digest as _, Sha256};

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
            let own = LedgerRow {
                key: Some(format!("k{row}")),
                image_sha256: Some(Sha256::digest(image(row)).into()),
                web_text: Some(format!("text {row}")),
                ..LedgerRow::missing(&shard.file.path, row)
            };
            if !is_judged {
                return LedgerRow { status: RowStatus::ImageUndecodable, ..own };
            }
            LedgerRow {
                width: Some(64),
                height: Some(48),
                status: RowStatus::Judged,
                web_status: WebStatus::Judged,
                web_score: Some(scored(itm(3))),
                synthetic: vec![SyntheticText { text: format!("a {row}"), scored: Some(scored(itm(7))) }],
                control_itm: Some(0.05),
                ..own
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

pub fn pairs(rows: &[LedgerRow]) -> RecordBatch {
    let kept: Vec<&LedgerRow> = rows.iter().filter(|row| row.keeps_a_text()).collect();
    let images: Vec<String> = kept.iter().map(|row| image(row.row)).collect();
    let pairs = kept.iter().zip(&images).map(|(row, image)| {
        let web = row.web_score.zip(row.web_text.as_deref()).map(|(score, text)| ("web", text, score));
        let synthetic =
            row.synthetic.iter().filter_map(|text| Some(("synthetic", text.text.as_str(), text.scored?)));
        let kept = web.into_iter().chain(synthetic).filter(|(.., score)| score.kept);
        let captions = kept.map(|(source, text, score)| PairsText { text, source, itm: score.itm });
        PairsRow {
            key: row.key.as_deref(),
            image: Some(image.as_bytes()),
            path: None,
            width: row.width.unwrap(),
            height: row.height.unwrap(),
            captions: captions.collect(),
        }
    });
    pairs::batch(&pairs::schema(&[]), &pairs.collect::<Vec<_>>(), &[]).unwrap()
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
        web_text: row.web_text.as_deref().map(str::as_bytes),
    });
    quarantine::batch(&set_aside.collect::<Vec<_>>()).unwrap()
}

pub fn encode(batch: &RecordBatch) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}
