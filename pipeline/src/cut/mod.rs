//! Verdicts of a cut: a function from a ledger's scores to the kept texts, without a model.

mod columns;
mod read;
mod scores;

pub use columns::COLUMNS;
pub use read::{DecidedRows, each_batch};
pub use scores::{Refined, Scores, Tail};

use crate::input::{ColumnError, selected};
use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, BooleanArray, ListArray, RecordBatch, StructArray},
    datatypes::Float32Type,
    error::ArrowError,
};
use capfilt_schemas::{
    cut::Rules,
    ledger,
    predicate::{Predicate, PredicateError},
    texts::{SYNTHETIC, Score, WEB},
    verdict::{admitted, verdicts},
};
use std::{ops::Range, sync::Arc};

/// Reason why rules cannot be applied.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum CutError {
    #[error("{0}")]
    Condition(#[from] PredicateError),
    #[error("the condition names `{column}`, which is not a column of a text; it may name {known}")]
    UnknownColumn { column: String, known: String },
    #[error("in the condition, column `{column}` {why}")]
    Uncomparable { column: String, why: String },
    #[error("the ledger cannot be decided again: {0}")]
    Column(#[from] ColumnError),
    #[error("the ledger cannot be decided again: {0}")]
    Arrow(#[from] ArrowError),
    #[error("the ledger cannot be decided again: {0}")]
    Row(String),
}

/// Rules of a cut, ready for the ledgers of one job.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    rules: Rules,
    condition: Option<Predicate>,
}

impl Cut {
    /// Parses the condition of the rules and checks its columns.
    ///
    /// # Errors
    /// A malformed condition, an unknown column, and a comparison of a column with a literal of another kind.
    pub fn new(rules: Rules) -> Result<Self, CutError> {
        let condition = rules.condition.as_deref().map(Predicate::parse).transpose()?;
        condition.iter().try_for_each(columns::check)?;
        Ok(Self { rules, condition })
    }

    /// The rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether the condition names a column.
    pub fn names(&self, column: &str) -> bool {
        self.condition.iter().any(|condition| condition.columns().contains(column))
    }

    /// Leaf columns of a ledger that decide, as dotted paths in its Parquet file.
    pub fn leaves(&self) -> Vec<String> {
        let mut leaves: Vec<&str> =
            vec!["status", "texts.list.item.source", "texts.list.item.itm", "texts.list.item.status"];
        // A second time, if the condition names it too; the projection takes a column once.
        leaves.extend((!self.rules.clip_thresholds.is_empty()).then_some(columns::CLIP));
        let named = self.condition.iter().flat_map(|condition| condition.columns());
        leaves.extend(named.filter_map(columns::leaf));
        leaves.into_iter().map(str::to_owned).collect()
    }

    /// Batch with the verdicts of the cut in `texts.kept`. The batch has all columns of a ledger; one of
    /// version 1 is converted.
    ///
    /// # Errors
    /// Cells that cannot be read.
    pub fn apply(&self, batch: RecordBatch) -> Result<RecordBatch, CutError> {
        let batch = self.current(batch)?;
        let kept = self.kept(&batch)?;
        let at = batch.schema_ref().index_of("texts")?;
        let mut columns = batch.columns().to_vec();
        columns[at] = with_verdicts(columns[at].as_list(), kept)?;
        Ok(RecordBatch::try_new(batch.schema(), columns)?)
    }

    /// Converts a batch of version 1, whose texts have no column name.
    fn current(&self, batch: RecordBatch) -> Result<RecordBatch, CutError> {
        if !ledger::is_version_1(&batch.schema()) {
            return Ok(batch);
        }
        let mut rows = ledger::rows(&batch).map_err(CutError::Row)?;
        let column = self.rules.sources().into_iter().find(|source| *source != SYNTHETIC);
        if let Some(column) = column {
            let column: Arc<str> = column.into();
            rows.iter_mut().for_each(|row| row.rename_source(WEB, &column));
        }
        Ok(ledger::batch(&rows)?)
    }

    /// Verdict of each item of column `texts`. The batch needs only the columns of [`Cut::leaves`].
    ///
    /// # Errors
    /// Cells that cannot be read.
    pub fn kept(&self, batch: &RecordBatch) -> Result<BooleanArray, CutError> {
        let lists: &ListArray = texts(batch);
        let items = lists.values().as_struct();
        let allowed = match &self.condition {
            Some(condition) => Some(selected(condition, &columns::of_texts(condition, batch)?)?),
            None => None,
        };
        let deciding = Deciding::of(&self.rules, items, allowed);
        let mut kept = vec![false; items.len()];
        for row in 0..lists.len() {
            deciding.row(range(lists, row), &mut kept);
        }
        Ok(kept.into())
    }
}

/// The column of texts of a ledger of the current version.
pub(crate) fn texts(batch: &RecordBatch) -> &ListArray {
    batch.column_by_name("texts").expect("the reader compared the columns with the table's schema").as_list()
}

/// The items of a row.
fn range(lists: &ListArray, row: usize) -> Range<usize> {
    let offsets = lists.value_offsets();
    offsets[row] as usize..offsets[row + 1] as usize
}

/// Replaces the verdicts of a list of texts.
fn with_verdicts(lists: &ListArray, kept: BooleanArray) -> Result<ArrayRef, CutError> {
    let (field, offsets, items, nulls) = lists.clone().into_parts();
    let (fields, mut columns, item_nulls) = items.as_struct().clone().into_parts();
    let at = fields.iter().position(|field| field.name() == "kept");
    columns[at.expect("the reader compared the columns with the table's schema")] = Arc::new(kept);
    let items = StructArray::try_new(fields, columns, item_nulls)?;
    Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(items), nulls)?))
}

/// The inputs of the decision about one batch.
struct Deciding<'a> {
    /// Rule of each item's source; an unknown source has none and keeps nothing.
    of: Vec<Option<SourceRule>>,
    sources: &'a arrow::array::StringArray,
    itm: &'a arrow::array::Float32Array,
    /// CLIP scores, if the ledger has them and the rules read them.
    clip: Option<&'a arrow::array::Float32Array>,
    allowed: Option<Vec<bool>>,
}

/// Rule of the texts of one source.
#[derive(Debug, Clone, Copy)]
struct SourceRule {
    threshold: f64,
    clip_threshold: Option<f64>,
    keep: Option<u32>,
}

impl<'a> Deciding<'a> {
    fn of(rules: &Rules, items: &'a StructArray, allowed: Option<Vec<bool>>) -> Self {
        let column = |name: &str| items.column_by_name(name).expect("the projection has the column");
        let sources = column("source").as_string::<i32>();
        let itm = column("itm").as_primitive::<Float32Type>();
        let clip = items.column_by_name(Score::Clip.as_str());
        let clip = clip.and_then(|clip| clip.as_primitive_opt::<Float32Type>());
        let rule = |source: Option<&str>| {
            let threshold = *rules.thresholds.get(source?)?;
            let clip_threshold = rules.clip_thresholds.get(source?).copied();
            Some(SourceRule { threshold, clip_threshold, keep: rules.keep.get(source?).copied() })
        };
        // A job has a few sources, so the comparison with the last one found is nearly always enough.
        let mut last: (Option<&str>, Option<SourceRule>) = (None, None);
        let of = sources.iter().map(|source| {
            if source != last.0 {
                last = (source, rule(source));
            }
            last.1
        });
        let of = of.collect();
        Self { of, sources, itm, clip, allowed }
    }

    /// P(match) of an item that may be kept.
    fn score(&self, item: usize, rule: SourceRule) -> Option<f32> {
        let is_allowed = self.allowed.as_ref().is_none_or(|allowed| allowed[item]);
        let itm = (is_allowed && self.itm.is_valid(item)).then(|| self.itm.value(item));
        let clip = self.clip.filter(|clip| clip.is_valid(item)).map(|clip| clip.value(item));
        admitted(itm, clip, rule.clip_threshold)
    }

    /// Decides about the texts of one row.
    fn row(&self, items: Range<usize>, kept: &mut [bool]) {
        for item in items.clone() {
            match self.of[item] {
                // The same rule as of `verdicts`, without a list for each text.
                Some(rule) if rule.keep.is_none() => {
                    kept[item] = self.score(item, rule).is_some_and(|itm| f64::from(itm) >= rule.threshold);
                }
                Some(rule) if self.is_first(item, items.start) => {
                    let same: Vec<usize> = items
                        .clone()
                        .filter(|other| self.sources.value(*other) == self.sources.value(item))
                        .collect();
                    let scores: Vec<Option<f32>> =
                        same.iter().map(|other| self.score(*other, rule)).collect();
                    let decided = verdicts(&scores, rule.threshold, rule.keep);
                    same.into_iter().zip(decided).for_each(|(other, verdict)| kept[other] = verdict);
                }
                _ => {}
            }
        }
    }

    /// Whether no earlier text of the row has the source of this one.
    fn is_first(&self, item: usize, start: usize) -> bool {
        (start..item).all(|earlier| self.sources.value(earlier) != self.sources.value(item))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
