//! The rule of a job, and the samples that the report takes: constant while the ledgers are read.

use super::{
    grid::{BARS, Grid},
    sample::{Place, mixed},
};
use crate::truth_table::Truths;
use capfilt_schemas::{
    hash::sha256_hex,
    job::JobRecord,
    tally::Tally,
    texts::{SYNTHETIC, WEB},
};
use std::sync::Arc;

/// Rows of a gallery.
pub const GALLERY_ROWS: usize = 12;

/// Rows of a gallery of one status.
pub const STATUS_ROWS: usize = 6;

/// Most rows of all bars together, which bounds the page.
const BAR_ROWS: usize = 600;

/// Most rows of a bar.
const ROWS_PER_BAR: usize = 6;

/// Rule of a job.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Names of the sources, in the order of the page.
    pub sources: Vec<String>,
    /// Threshold of each source.
    pub thresholds: Vec<f64>,
    /// Most captions that are kept of an image.
    pub keep: Option<u32>,
    /// CLIP threshold of each source that has one.
    pub clip_thresholds: Vec<Option<f64>>,
    /// Positions of the thresholds.
    pub grid: Grid,
    /// Positions of the CLIP thresholds, of a job with CLIP scores.
    pub clip_grid: Option<Grid>,
    /// Seed of the samples.
    pub seed: u64,
    /// Rows that are sampled in each bar of each histogram.
    pub bar_rows: usize,
    /// Name of the text column of a ledger of version 1.
    pub web: Option<String>,
    /// Truths of texts, if the user names a table of them.
    pub truths: Option<Arc<Truths>>,
}

impl Rule {
    /// The rule of a job with these counts: its text columns, then other sources of its counts, then its
    /// captions.
    pub fn new(job: &JobRecord, tally: &Tally, seed: u64) -> Self {
        let settings = &job.settings;
        let columns = settings.input.text.names();
        let web = match columns {
            [column] => Some(column.clone()),
            _ => None,
        };
        let mut sources = columns.to_vec();
        let of_tally = tally.texts.keys().map(|name| renamed(name, web.as_deref()));
        let others: Vec<String> = of_tally.filter(|name| *name != SYNTHETIC).map(str::to_owned).collect();
        sources.extend(others.into_iter().filter(|name| !columns.contains(name)));
        sources.push(SYNTHETIC.to_owned());
        sources.retain(|name| name != SYNTHETIC || tally.texts.contains_key(SYNTHETIC));
        let thresholds: Vec<f64> = sources.iter().map(|name| settings.filter.threshold(name)).collect();
        let bar_rows = (BAR_ROWS / (BARS * sources.len().max(1))).min(ROWS_PER_BAR);
        let clip_thresholds: Vec<Option<f64>> =
            sources.iter().map(|name| settings.filter.clip_threshold(name)).collect();
        let clip_grid = || Grid::of_clip(clip_thresholds.iter().copied().flatten());
        Self {
            keep: settings.captioner.keep,
            grid: Grid::new(thresholds.iter().copied()),
            clip_grid: settings.models.clip.is_some().then(clip_grid),
            truths: None,
            sources,
            thresholds,
            clip_thresholds,
            seed,
            bar_rows,
            web,
        }
    }

    /// Number of a source; `None` for a name that the job's counts do not have.
    pub fn source(&self, name: &str) -> Option<usize> {
        let name = renamed(name, self.web.as_deref());
        self.sources.iter().position(|source| source == name)
    }

    /// Whether a source is the captioner.
    pub fn is_synthetic(&self, source: usize) -> bool {
        self.sources[source] == SYNTHETIC
    }

    /// The counts with the name of the text column instead of version 1's.
    pub fn renamed(&self, tally: &Tally) -> Tally {
        let mut tally = tally.clone();
        let Some(web) = self.web.as_ref().filter(|web| *web != WEB) else { return tally };
        if let Some(texts) = tally.texts.remove(WEB) {
            let only = Tally { texts: [(web.clone(), texts)].into(), ..Tally::default() };
            tally.merge(&only);
        }
        tally
    }
}

fn renamed<'a>(name: &'a str, web: Option<&'a str>) -> &'a str {
    if name == WEB { web.unwrap_or(name) } else { name }
}

/// Order of the rows of a file in random samples.
#[derive(Debug, Clone, Copy)]
pub struct Lottery(u64);

impl Lottery {
    /// The order for a seed and a file.
    pub fn new(seed: u64, file: &str) -> Self {
        let digest = sha256_hex(file.as_bytes());
        let bits = u64::from_str_radix(&digest[..16], 16).expect("a digest has hexadecimal digits");
        Self(mixed(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ bits)
    }

    /// Priority of a row.
    pub fn priority(self, place: &Place) -> u64 {
        mixed(self.0 ^ mixed(place.row))
    }
}
