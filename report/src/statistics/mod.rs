//! Numbers of a job's newest version, from one pass over its ledgers.

mod clip;
mod columns;
mod counts;
mod distinct;
mod drift;
mod frequent;
mod galleries;
mod grid;
mod reading;
mod rule;
mod sample;
mod samples;
mod scan;
mod shards;
mod source;
mod texts;
mod truth;
mod work;

pub use clip::ClipStatistics;
pub use distinct::Repeated;
pub use drift::{Drift, Part};
pub use galleries::{Kind, List, condition};
pub use grid::{BARS, Grid, Scale};
pub use reading::{Options, read};
pub use sample::{Place, Sampled};
pub(crate) use scan::place_of;
pub use shards::CommittedShard;
pub use source::SourceStatistics;
pub use texts::{Group, LENGTHS};
pub use truth::TruthRates;
pub use work::{Unused, Work, Worker};

use capfilt_schemas::{job::JobRecord, tally::Tally};
use serde::Serialize;
use std::collections::BTreeMap;

/// Version of the JSON object of the statistics.
pub const VERSION: u32 = 1;

/// Numbers of a job. The JSON object has everything but the places of sampled rows.
#[derive(Debug, Clone, Serialize)]
pub struct Statistics {
    /// Version of the object ([`VERSION`]).
    pub version: u32,
    /// URL of the job, without secrets.
    pub url: String,
    /// Number of the manifest; `None` for a job that is not finished.
    pub manifest: Option<u32>,
    /// Digest of the manifest, which identifies the data.
    pub manifest_digest: Option<String>,
    /// Committed shards.
    pub shards: u64,
    /// Planned shards.
    pub planned_shards: u64,
    /// Planned rows of quarantined shards, which are in no count.
    pub quarantined_rows: u64,
    /// Input files that gave no shard.
    pub refused_files: u64,
    /// Seed of the samples.
    pub seed: u64,
    /// Rows of the ledgers.
    pub rows: u64,
    /// Counts of the ledgers, equal to the tally of the manifest.
    pub tally: Tally,
    /// Positions of the sliders, ascending.
    pub positions: Grid,
    /// Positions of the sliders of CLIP scores, ascending, of a job with CLIP scores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_positions: Option<Grid>,
    /// P(match) of the negative control.
    pub control: Control,
    /// Sources of texts: the text columns in their order, then captions.
    pub sources: Vec<SourceStatistics>,
    /// Files and shards by kept share.
    pub drift: Drift,
    /// Images with equal bytes.
    pub equal_images: Repeated,
    /// Images with an equal perceptual hash.
    pub equal_hashes: Repeated,
    /// Most occurrences that the count of a repeated text may lack.
    pub repeated_texts_missed: u64,
    /// Occurrences of the most repeated texts, most first.
    pub repeated_texts: Vec<u64>,
    /// Time, workers, failures.
    pub work: Work,
    /// Galleries of sampled rows.
    #[serde(skip)]
    pub galleries: Vec<List>,
    /// The committed shards, which [`Place::shard`] numbers.
    #[serde(skip)]
    pub committed: Vec<CommittedShard>,
    /// The job.
    #[serde(skip)]
    pub job: JobRecord,
}

/// P(match) of images with texts of other rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Control {
    /// Number of scores.
    pub judged: u64,
    /// Scores that reach each position.
    pub at_least: Vec<u64>,
}

impl Statistics {
    /// Every sampled place once, in the order of shards and rows.
    pub fn places(&self) -> Vec<Place> {
        let of_sources = self
            .sources
            .iter()
            .flat_map(|source| source.nearest.iter().chain(source.samples.iter().flatten()));
        let of_galleries = self.galleries.iter().flat_map(|list| &list.rows);
        let places =
            of_sources.chain(of_galleries).map(|one| ((one.place.shard, one.place.offset), one.place));
        places.collect::<BTreeMap<_, _>>().into_values().collect()
    }
}
