//! Rows of a stored ledger, of this version and of earlier ones.

use super::{CONTROL_CLIP, LedgerRow, version_1};
use crate::{
    status::{RowStatus, TextStatus},
    tables::{
        cells::{Columns, clip_scores, items, number, text},
        embedding::{self, Embedding},
        texts::{LedgerText, Scored},
    },
};
use arrow::{
    array::{
        Array as _, AsArray as _, BooleanArray, FixedSizeListArray, Float32Array, RecordBatch, StringArray,
        StructArray,
    },
    datatypes::{UInt32Type, UInt64Type},
};
use std::sync::Arc;

/// Cells of a row as stored: names and digests are not parsed, and verdicts may contradict the scores. Each
/// field is the column of its name. The default is null, for columns that an earlier version does not have.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // the columns' meaning is at `LedgerRow`
pub struct StoredRow<'a> {
    pub key: Option<&'a str>,
    pub file: &'a str,
    pub row: u64,
    pub member: Option<&'a str>,
    pub image_sha256: Option<&'a str>,
    pub image_hash: Option<u64>,
    pub image_embedding: Option<Embedding>,
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub status: &'a str,
    pub texts: Vec<StoredText<'a>>,
    pub control_itm: Option<f32>,
    pub control_clip: Option<f32>,
    pub detail: Option<&'a str>,
}

/// Cells of a text as stored. Each field is the field of its name; `score` is `itm`, `itc`, `clip` and
/// `kept`.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // the fields' meaning is at `LedgerText`
pub struct StoredText<'a> {
    pub source: &'a str,
    pub text: Option<&'a str>,
    pub status: &'a str,
    pub score: StoredScore,
    pub language: Option<&'a str>,
    pub repetition: Option<f32>,
    pub embedding: Option<Embedding>,
}

/// Scores and verdict as stored; a null verdict is not a kept text.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoredScore {
    /// P(match).
    pub itm: Option<f32>,
    /// Cosine.
    pub itc: Option<f32>,
    /// CLIP score.
    pub clip: Option<f32>,
    /// Whether the text is kept.
    pub kept: bool,
}

impl StoredScore {
    fn parse(self) -> Option<Scored> {
        let itc = self.itc.unwrap_or_default();
        self.itm.map(|itm| Scored { itm, itc, clip: self.clip, kept: self.kept })
    }
}

impl StoredText<'_> {
    fn parse(self, sources: &mut Sources) -> Result<LedgerText, String> {
        Ok(LedgerText {
            source: sources.shared(self.source),
            text: self.text.map(str::to_owned),
            status: TextStatus::parse(self.status).ok_or_else(|| unknown(self.status))?,
            scored: self.score.parse(),
            language: self.language.map(str::to_owned),
            repetition: self.repetition,
            embedding: self.embedding,
        })
    }
}

impl StoredRow<'_> {
    fn parse(self, sources: &mut Sources) -> Result<LedgerRow, String> {
        let texts = self.texts.into_iter().map(|text| text.parse(sources));
        Ok(LedgerRow {
            key: self.key.map(str::to_owned),
            file: self.file.to_owned(),
            row: self.row,
            member: self.member.map(str::to_owned),
            image_sha256: self.image_sha256.map(parse_digest).transpose()?,
            image_hash: self.image_hash,
            image_embedding: self.image_embedding,
            width: self.width,
            height: self.height,
            status: RowStatus::parse(self.status).ok_or_else(|| unknown(self.status))?,
            texts: texts.collect::<Result<_, _>>()?,
            control_itm: self.control_itm,
            control_clip: self.control_clip,
            detail: self.detail.map(str::to_owned),
        })
    }
}

/// Names of sources, one copy each: a batch has thousands of texts and a few sources.
#[derive(Default)]
struct Sources(Vec<Arc<str>>);

impl Sources {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.0.push(Arc::clone(&name));
        name
    }
}

fn unknown(status: &str) -> String {
    format!("unknown status `{status}`")
}

fn parse_digest(text: &str) -> Result<[u8; 32], String> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).map_err(|error| format!("`{text}` is not a SHA-256: {error}"))?;
    Ok(digest)
}

/// Decodes the rows of a batch that has the columns of [`super::schema_of`].
///
/// # Errors
/// A sentence that names the first cell with an unknown status or a malformed digest.
pub fn rows(batch: &RecordBatch) -> Result<Vec<LedgerRow>, String> {
    let mut sources = Sources::default();
    stored_rows(batch).map(|row| row.parse(&mut sources)).collect()
}

/// Rows of a batch that has the columns of [`super::schema_of`], as stored.
pub fn stored_rows(batch: &RecordBatch) -> Box<dyn Iterator<Item = StoredRow<'_>> + '_> {
    if version_1::is(&batch.schema()) {
        return Box::new(version_1::stored_rows(batch));
    }
    let names = |name: &str| batch.texts(name);
    let (keys, files, members, hashes) =
        (names("key"), names("file"), names("member"), names("image_sha256"));
    let (statuses, details) = (names("status"), names("detail"));
    let numbers = |name: &str| batch.numbers::<UInt64Type>(name);
    let (addresses, image_hashes) = (numbers("row"), numbers("image_hash"));
    let (widths, heights) = (batch.numbers::<UInt32Type>("width"), batch.numbers::<UInt32Type>("height"));
    let controls = batch.scores("control_itm");
    let clip_controls = batch.column_by_name(CONTROL_CLIP).and_then(|clip| clip.as_primitive_opt());
    let lists = batch.lists("texts");
    let texts = Texts::of(lists.values().as_struct());
    let embeddings = embedding::images(batch);
    Box::new((0..batch.num_rows()).map(move |i| StoredRow {
        key: text(keys, i),
        file: files.value(i),
        row: addresses.value(i),
        member: text(members, i),
        image_sha256: text(hashes, i),
        image_hash: number(image_hashes, i),
        image_embedding: embeddings.and_then(|vectors| embedding::vector(vectors, i)),
        width: number(widths, i),
        height: number(heights, i),
        status: statuses.value(i),
        texts: items(lists, i).map(|item| texts.get(item)).collect(),
        control_itm: number(controls, i),
        control_clip: clip_controls.and_then(|clip: &Float32Array| number(clip, i)),
        detail: text(details, i),
    }))
}

/// Columns of scores and verdicts.
pub(super) struct Scores<'a> {
    pub itm: &'a Float32Array,
    pub itc: &'a Float32Array,
    /// CLIP scores, if the ledger has them.
    pub clip: Option<&'a Float32Array>,
    pub kept: &'a BooleanArray,
}

impl<'a> Scores<'a> {
    /// The fields `itm`, `itc`, `kept` and, if it is there, `clip`.
    pub fn of(items: &'a StructArray) -> Self {
        let kept = items.verdicts("kept");
        Self { itm: items.scores("itm"), itc: items.scores("itc"), clip: clip_scores(items), kept }
    }

    pub fn get(&self, i: usize) -> StoredScore {
        let kept = self.kept.is_valid(i) && self.kept.value(i);
        let clip = self.clip.and_then(|clip| number(clip, i));
        StoredScore { itm: number(self.itm, i), itc: number(self.itc, i), clip, kept }
    }
}

/// Fields of all texts of a batch.
struct Texts<'a> {
    sources: &'a StringArray,
    texts: &'a StringArray,
    statuses: &'a StringArray,
    scores: Scores<'a>,
    languages: &'a StringArray,
    repetitions: &'a Float32Array,
    embeddings: Option<&'a FixedSizeListArray>,
}

impl<'a> Texts<'a> {
    fn of(items: &'a StructArray) -> Self {
        Self {
            sources: items.texts("source"),
            texts: items.texts("text"),
            statuses: items.texts("status"),
            scores: Scores::of(items),
            languages: items.texts("language"),
            repetitions: items.scores("repetition"),
            embeddings: embedding::texts(items),
        }
    }

    fn get(&self, i: usize) -> StoredText<'a> {
        StoredText {
            source: self.sources.value(i),
            text: text(self.texts, i),
            status: self.statuses.value(i),
            score: self.scores.get(i),
            language: text(self.languages, i),
            repetition: number(self.repetitions, i),
            embedding: self.embeddings.and_then(|vectors| embedding::vector(vectors, i)),
        }
    }
}
