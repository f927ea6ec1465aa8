//! Counts of a cut, from the columns of the ledgers that decide.

use super::Failed;
use anyhow::anyhow;
use arrow::{
    array::{Array as _, AsArray as _, BooleanArray, ListArray, RecordBatch},
    datatypes::Float32Type,
};
use capfilt_pipeline::cut::{Cut, each_batch};
use capfilt_schemas::{
    ledger::CONTROL_CLIP,
    manifest::Manifest,
    status::{RowStatus, TextStatus},
    tally::{Tally, TextTally},
    verdict::admitted,
};
use capfilt_store::Location;
use capfilt_workers::ShardLedger;
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// Counts of a cut.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// Rows and texts by status, kept texts and pairs.
    pub tally: Tally,
    /// Negative controls.
    pub controls: u64,
    /// Negative controls that reach the thresholds of P(match) and of the CLIP score, by source.
    pub random_passes: BTreeMap<String, u64>,
}

impl Counts {
    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        self.tally.merge(&other.tally);
        self.controls += other.controls;
        for (source, n) in &other.random_passes {
            *self.random_passes.entry(source.clone()).or_default() += n;
        }
    }
}

/// A decided cut with its counts, before it is written.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The rules.
    pub cut: Arc<Cut>,
    /// Counts of the cut.
    pub counts: Counts,
    /// The version of the job.
    pub manifest: Manifest,
}

/// Counts one ledger.
pub(super) async fn of_ledger(bucket: Location, of: ShardLedger, cut: Arc<Cut>) -> Result<Counts, Failed> {
    let mut counts = Counts::default();
    let mut leaves = cut.leaves();
    leaves.push("control_itm".to_owned());
    leaves.extend((!cut.rules().clip_thresholds.is_empty()).then(|| CONTROL_CLIP.to_owned()));
    let count = |batch: &RecordBatch| {
        let kept = cut.kept(batch)?;
        counts.add(batch, &kept, &cut);
        Ok(())
    };
    each_batch(&bucket, &of.ledger, &cut, &leaves, count).await?;
    Ok(counts)
}

impl Counts {
    fn add(&mut self, batch: &RecordBatch, kept: &BooleanArray, cut: &Cut) {
        let column = |name: &str| batch.column_by_name(name).expect("the projection has the column");
        let (statuses, lists) = (column("status").as_string::<i32>(), column("texts").as_list::<i32>());
        for row in 0..batch.num_rows() {
            let status = RowStatus::parse(statuses.value(row));
            status.iter().for_each(|status| self.tally.add_row(*status));
            if status == Some(RowStatus::Judged) {
                self.add_texts(lists, row, kept);
            }
        }
        let clip = batch.column_by_name(CONTROL_CLIP).and_then(|clip| clip.as_primitive_opt::<Float32Type>());
        for (row, itm) in column("control_itm").as_primitive::<Float32Type>().iter().enumerate() {
            let clip = clip.filter(|clip| clip.is_valid(row)).map(|clip| clip.value(row));
            itm.iter().for_each(|itm| self.add_control(*itm, clip, cut));
        }
    }

    fn add_control(&mut self, itm: f32, clip: Option<f32>, cut: &Cut) {
        self.controls += 1;
        let rules = cut.rules();
        for (source, threshold) in &rules.thresholds {
            let least = rules.clip_thresholds.get(source).copied();
            if admitted(Some(itm), clip, least).is_some_and(|itm| f64::from(itm) >= *threshold) {
                *self.random_passes.entry(source.clone()).or_default() += 1;
            }
        }
    }

    fn add_texts(&mut self, lists: &ListArray, row: usize, kept: &BooleanArray) {
        let items = lists.values().as_struct();
        let field = |name: &str| {
            items.column_by_name(name).expect("the projection has the column").as_string::<i32>()
        };
        let (sources, statuses) = (field("source"), field("status"));
        let offsets = lists.value_offsets();
        let mut is_kept = false;
        for item in offsets[row] as usize..offsets[row + 1] as usize {
            let Some(status) = TextStatus::parse(statuses.value(item)) else { continue };
            self.tally.add_text(sources.value(item), status, kept.value(item));
            is_kept |= kept.value(item);
        }
        self.tally.pairs += u64::from(is_kept);
    }
}

impl Preview {
    /// Checks the counted rows against those of the manifest.
    ///
    /// # Errors
    /// The ledgers have other rows than the manifest counts.
    pub fn check(&self) -> Result<(), Failed> {
        let (counted, known) = (&self.counts.tally.rows, &self.manifest.tally.rows);
        if counted == known {
            return Ok(());
        }
        Err(anyhow!(
            "the ledgers have other rows than manifest {} counts; `capfilt verify` lists the faults",
            self.manifest.n
        ))
    }

    /// Lines for people: rules, then the counts beside those of the job.
    pub fn lines(&self) -> Vec<String> {
        let rules = self.cut.rules();
        let mut lines = vec![format!("{:22} {:>12} {:>12}", "", "job", "cut")];
        let mut count = |name: &str, job: u64, cut: u64, more: String| {
            lines.push(format!("{name:22} {job:>12} {cut:>12}  {more}").trim_end().to_owned());
        };
        let (job, cut) = (&self.manifest.tally, &self.counts.tally);
        count("rows", job.rows_total(), cut.rows_total(), String::new());
        count("pairs", job.pairs, cut.pairs, String::new());
        for (source, threshold) in &rules.thresholds {
            let (job, cut) = (self.texts(job, source), self.texts(cut, source));
            let best = rules.keep.get(source).map(|keep| format!(", best {keep}")).unwrap_or_default();
            let clip = rules.clip_thresholds.get(source);
            let clip = clip.map(|least| format!(", CLIP score ≥ {least}")).unwrap_or_default();
            let more = format!("P(match) ≥ {}{clip}{best}; {}", shortest(*threshold), self.random(source));
            count(&format!("{source} kept"), job.kept, cut.kept, more);
        }
        lines.extend(rules.condition.as_ref().map(|condition| format!("where {condition}")));
        lines
    }

    fn texts(&self, tally: &Tally, source: &str) -> TextTally {
        tally.texts.get(source).cloned().unwrap_or_default()
    }

    /// Share of the negative controls that pass.
    fn random(&self, source: &str) -> String {
        let (passes, all) = (self.passes(source), self.counts.controls);
        match all {
            0 => "no negative controls".to_owned(),
            all => format!("{:.2} % of random texts", percent(passes, all)),
        }
    }

    fn passes(&self, source: &str) -> u64 {
        self.counts.random_passes.get(source).copied().unwrap_or_default()
    }

    /// The same as a JSON object.
    pub fn to_json(&self) -> Value {
        let sources = self.cut.rules().thresholds.iter().map(|(source, threshold)| {
            let of = self.texts(&self.counts.tally, source);
            let before = self.texts(&self.manifest.tally, source);
            let texts = json!({
                "threshold": threshold, "judged": of.judged(), "kept": of.kept, "job_kept": before.kept,
                "random_passes": self.passes(source),
            });
            (source.clone(), texts)
        });
        json!({
            "manifest": self.manifest.n, "rules": self.cut.rules(), "rows": self.counts.tally.rows_total(),
            "pairs": self.counts.tally.pairs, "job_pairs": self.manifest.tally.pairs,
            "controls": self.counts.controls, "sources": sources.collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// A threshold with as few digits as identify it; one that is a score has those of a single-precision number.
fn shortest(threshold: f64) -> String {
    let single = threshold as f32;
    if f64::from(single) == threshold { single.to_string() } else { threshold.to_string() }
}

fn percent(part: u64, all: u64) -> f64 {
    100.0 * part as f64 / all as f64
}
