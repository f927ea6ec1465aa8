//! Kept share and median score of each input file and shard, to find the parts of the input that differ.

use super::{counts::Counts, grid::Grid, grid::Scores, texts::Group};
use capfilt_schemas::status::RowStatus;
use serde::Serialize;
use std::collections::BTreeMap;

/// Files and shards that the report lists, worst first.
pub const LISTED: usize = 20;

/// An input file, or a shard.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Path of the file below the input's URL.
    pub file: String,
    /// Id of the shard; `None` for a whole file.
    pub shard: Option<String>,
    /// Rows of the part.
    pub rows: u64,
    /// Judged images of the part, and those with a kept text.
    pub images: Group,
    /// Kept share of the judged images, 0 to 1; `None` without a judged image.
    pub kept_share: Option<f64>,
    /// Median P(match) of the texts of the input, cut to a position of the threshold.
    pub median_itm: Option<f64>,
}

/// The parts with the lowest kept shares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Number of all files with a result.
    pub files_total: u64,
    /// Files, lowest kept share first.
    pub files: Vec<Part>,
    /// Number of all shards with a result.
    pub shards_total: u64,
    /// Shards, lowest kept share first.
    pub shards: Vec<Part>,
}

/// Counts of a file. Memory: 1 kB per file.
#[derive(Debug)]
struct File {
    rows: u64,
    images: Group,
    web: Scores,
}

/// Counts of all files, and the worst shards so far.
#[derive(Debug)]
pub(super) struct DriftCounts {
    files: BTreeMap<String, File>,
    shards: Vec<Part>,
    shards_total: u64,
}

impl DriftCounts {
    pub fn new() -> Self {
        Self { files: BTreeMap::new(), shards: Vec::new(), shards_total: 0 }
    }

    /// Adds the counts of a shard.
    pub fn add(&mut self, grid: &Grid, file: &str, shard: &str, counts: &Counts) {
        let rows = counts.rows.values().sum();
        let judged = counts.rows.get(&RowStatus::Judged).copied().unwrap_or(0);
        let images = Group { judged, kept: counts.pairs };
        self.shards_total += 1;
        self.shards.push(part(grid, file, Some(shard), rows, images, &counts.web));
        if self.shards.len() > 2 * LISTED {
            worst_first(&mut self.shards);
        }
        let new = || File { rows: 0, images: Group::default(), web: Scores::new(grid) };
        let sums = self.files.entry(file.to_owned()).or_insert_with(new);
        sums.rows += rows;
        sums.images.merge(images);
        sums.web.merge(&counts.web);
    }

    pub fn finish(mut self, grid: &Grid) -> Drift {
        let of = |(name, file): (&String, &File)| part(grid, name, None, file.rows, file.images, &file.web);
        let mut files: Vec<Part> = self.files.iter().map(of).collect();
        let files_total = files.len() as u64;
        worst_first(&mut files);
        worst_first(&mut self.shards);
        Drift { files_total, files, shards_total: self.shards_total, shards: self.shards }
    }
}

fn part(grid: &Grid, file: &str, shard: Option<&str>, rows: u64, images: Group, web: &Scores) -> Part {
    let kept_share = (images.judged > 0).then(|| images.kept as f64 / images.judged as f64);
    let median_itm = web.median(grid);
    Part { file: file.to_owned(), shard: shard.map(str::to_owned), rows, images, kept_share, median_itm }
}

/// Sorts parts by kept share, and leaves the first ones; parts without a judged image come last.
fn worst_first(parts: &mut Vec<Part>) {
    let share = |part: &Part| part.kept_share.unwrap_or(2.0);
    parts.sort_by(|a, b| {
        let by_name = || (&a.file, &a.shard).cmp(&(&b.file, &b.shard));
        share(a).total_cmp(&share(b)).then(b.images.judged.cmp(&a.images.judged)).then_with(by_name)
    });
    parts.truncate(LISTED);
}
