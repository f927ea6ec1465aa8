//! The cut: a named selection of a job's texts by other rules than the job's, without a model.

pub use crate::cut_name::CutName;

use crate::{
    commit::Output,
    job::JobDigest,
    plan::ShardId,
    record::Record,
    settings::{Images, Settings},
    tally::Tally,
    texts::SYNTHETIC,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the record.
pub const VERSION: u32 = 1;

/// `cuts/<name>.json`, written once, after the tables of the cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutRecord {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Name of the cut.
    pub name: CutName,
    /// Version of the program that wrote the cut.
    pub program: String,
    /// The job.
    pub job: JobDigest,
    /// Number of the job's manifest from which the texts were selected.
    pub manifest: u32,
    /// Digest of the data of this manifest.
    pub digest: String,
    /// The rules.
    pub rules: Rules,
    /// Whether the tables of the cut have the images or refer to them.
    pub images: Images,
    /// Sum of the shards' tallies.
    pub tally: Tally,
    /// Rows whose images can no longer be read or have changed. A cut with images does not have these rows.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images_lost: u64,
    /// The shards of the manifest, in the order of the plan.
    pub shards: Vec<CutShard>,
}

impl Record for CutRecord {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "cut";
}

/// The part of a cut that one shard gives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutShard {
    /// The shard.
    pub shard: ShardId,
    /// Counts over the shard's ledger with the verdicts of the cut.
    pub tally: Tally,
    /// The pairs; `None` if no text of the shard is kept.
    pub pairs: Option<Output>,
}

/// Rules that decide which scored texts of a row are kept. The rules of a row do not depend on other rows.
///
/// A text is kept if the condition is true for it, if its P(match) and its CLIP score are at least the
/// thresholds of its source, and if it is among the best of its source and row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Least P(match) of a kept text, for each source of the job.
    pub thresholds: BTreeMap<String, f64>,
    /// Least CLIP score of a kept text, by source. A source without a number has no such threshold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clip_thresholds: BTreeMap<String, f64>,
    /// Largest number of kept texts of a row, by source. A source without a number has no limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, u32>,
    /// Condition on a text and its row, in the language of `input.where`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

impl Rules {
    /// The rules of a job's settings.
    pub fn of(settings: &Settings) -> Self {
        let sources = settings.input.text.names().iter().map(String::as_str).chain([SYNTHETIC]);
        let clip = sources
            .clone()
            .filter_map(|source| Some((source.to_owned(), settings.filter.clip_threshold(source)?)));
        let clip_thresholds = clip.collect();
        let thresholds = sources.map(|source| (source.to_owned(), settings.filter.threshold(source)));
        let keep = settings.captioner.keep.map(|keep| (SYNTHETIC.to_owned(), keep));
        let (thresholds, keep) = (thresholds.collect(), keep.into_iter().collect());
        Self { thresholds, clip_thresholds, keep, condition: None }
    }

    /// The sources of the job.
    pub fn sources(&self) -> BTreeSet<&str> {
        self.thresholds.keys().map(String::as_str).collect()
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::parse;

    #[test]
    fn the_rules_of_a_job_name_every_source() {
        let text = "[job]\nurl='/j'\n[input]\nurl='/i'\ntext=['alt','title']\n[models]\ncaptioner='/c'\n\
                    filter='/f'\n[captioner]\ncaptions=3\nkeep=2\n[filter]\nsynthetic_threshold=0.75\n\
                    [filter.thresholds]\ntitle=0.25\n";
        let rules = Rules::of(&parse(text, &[]).unwrap());
        let thresholds = [("alt", 0.5), ("synthetic", 0.75), ("title", 0.25)];
        assert_eq!(rules.thresholds, thresholds.map(|(source, t)| (source.to_owned(), t)).into());
        assert_eq!(rules.keep, [("synthetic".to_owned(), 2)].into());
        assert_eq!(rules.sources(), ["alt", "synthetic", "title"].into());
    }
}
