//! The cut: a named selection of a job's texts by other rules than the job's, without a model.

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
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

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
/// A text is kept if the condition is true for it, if its P(match) is at least the threshold of its source,
/// and if it is among the best of its source and row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Least P(match) of a kept text, for each source of the job.
    pub thresholds: BTreeMap<String, f64>,
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
        let thresholds = sources.map(|source| (source.to_owned(), settings.filter.threshold(source)));
        let keep = settings.captioner.keep.map(|keep| (SYNTHETIC.to_owned(), keep));
        Self { thresholds: thresholds.collect(), keep: keep.into_iter().collect(), condition: None }
    }

    /// The sources of the job.
    pub fn sources(&self) -> BTreeSet<&str> {
        self.thresholds.keys().map(String::as_str).collect()
    }
}

/// Name of a cut: 1 to 64 letters, digits, `-`, `_` and `.`, with a letter or a digit at the start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CutName(String);

impl CutName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CutName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let is_name = text.len() <= 64
            && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(is_inner);
        let fault = || {
            format!(
                "{text:?} is not the name of a cut: use 1 to 64 of the characters a-z, A-Z, 0-9, `-`, `_` \
                 and `.`, with a letter or a digit first"
            )
        };
        is_name.then(|| Self(text.to_owned())).ok_or_else(fault)
    }
}

impl TryFrom<String> for CutName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CutName> for String {
    fn from(name: CutName) -> Self {
        name.0
    }
}

impl fmt::Display for CutName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
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
    fn a_name_is_also_the_name_of_an_object() {
        for name in ["strict", "2026-11-30", "v1.2_b"] {
            assert_eq!(name.parse::<CutName>().unwrap().as_str(), name);
        }
        let long = "a".repeat(65);
        for name in ["", ".", "../x", "a/b", "a b", "-x", "ü", long.as_str()] {
            assert!(name.parse::<CutName>().is_err(), "{name}");
        }
        assert!(serde_json::from_str::<CutName>("\"a/b\"").is_err());
    }

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
