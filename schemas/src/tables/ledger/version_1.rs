//! Ledgers of version 1: one text of the input in the columns `web_*`, and captions in `synthetic`.

use super::stored::{Scores, StoredRow, StoredText};
use crate::{
    status::TextStatus,
    tables::{
        cells::{Columns as _, items, number, text},
        texts::{SYNTHETIC, WEB},
    },
};
use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef, UInt32Type, UInt64Type},
};
use std::sync::Arc;

/// A column that only version 1 has.
const WEB_STATUS: &str = "web_status";

/// Whether columns are those of version 1.
pub(super) fn is(found: &Schema) -> bool {
    found.column_with_name(WEB_STATUS).is_some()
}

pub(super) fn schema() -> SchemaRef {
    let nullable = |name: &str, kind: DataType| Field::new(name, kind, true);
    let required = |name: &str, kind: DataType| Field::new(name, kind, false);
    let caption = vec![
        required("text", DataType::Utf8),
        nullable("itm", DataType::Float32),
        nullable("itc", DataType::Float32),
        required("kept", DataType::Boolean),
    ];
    let caption = Arc::new(Field::new("item", DataType::Struct(caption.into()), false));
    Arc::new(Schema::new(vec![
        nullable("key", DataType::Utf8),
        required("file", DataType::Utf8),
        required("row", DataType::UInt64),
        nullable("image_sha256", DataType::Utf8),
        nullable("width", DataType::UInt32),
        nullable("height", DataType::UInt32),
        required("status", DataType::Utf8),
        nullable("web_text", DataType::Utf8),
        required(WEB_STATUS, DataType::Utf8),
        nullable("web_itm", DataType::Float32),
        nullable("web_itc", DataType::Float32),
        nullable("web_kept", DataType::Boolean),
        required("synthetic", DataType::List(caption)),
        nullable("control_itm", DataType::Float32),
        nullable("detail", DataType::Utf8),
    ]))
}

/// Rows in the shape of this version. The text of the input has the source [`WEB`]. Version 1 did not store
/// why a caption has no score; such a caption is read as `empty`.
pub(super) fn stored_rows(batch: &RecordBatch) -> impl Iterator<Item = StoredRow<'_>> {
    let names = |name: &str| batch.texts(name);
    let (keys, files, hashes) = (names("key"), names("file"), names("image_sha256"));
    let (statuses, web_texts) = (names("status"), names("web_text"));
    let (web_statuses, details) = (names(WEB_STATUS), names("detail"));
    let numbers = batch.numbers::<UInt64Type>("row");
    let (widths, heights) = (batch.numbers::<UInt32Type>("width"), batch.numbers::<UInt32Type>("height"));
    let web = Scores {
        itm: batch.scores("web_itm"),
        itc: batch.scores("web_itc"),
        clip: None,
        kept: batch.verdicts("web_kept"),
    };
    let controls = batch.scores("control_itm");
    let lists = batch.lists("synthetic");
    let captions = lists.values().as_struct();
    let (caption_texts, caption_scores) = (captions.texts("text"), Scores::of(captions));
    let caption = move |i: usize| {
        let score = caption_scores.get(i);
        let status = if score.itm.is_some() { TextStatus::Judged } else { TextStatus::Empty };
        let text = Some(caption_texts.value(i));
        StoredText { source: SYNTHETIC, text, status: status.as_str(), score, ..StoredText::default() }
    };
    (0..batch.num_rows()).map(move |i| {
        let web = StoredText {
            source: WEB,
            text: text(web_texts, i),
            status: web_statuses.value(i),
            score: web.get(i),
            ..StoredText::default()
        };
        StoredRow {
            key: text(keys, i),
            file: files.value(i),
            row: numbers.value(i),
            image_sha256: text(hashes, i),
            width: number(widths, i),
            height: number(heights, i),
            status: statuses.value(i),
            texts: std::iter::once(web).chain(items(lists, i).map(&caption)).collect(),
            control_itm: number(controls, i),
            detail: text(details, i),
            ..StoredRow::default()
        }
    })
}
