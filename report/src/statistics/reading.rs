//! Reads the numbers of a job, and compares them with its records.

use super::{
    Control, Statistics, VERSION,
    counts::Counts,
    drift::DriftCounts,
    galleries::{self, Kind},
    rule::Rule,
    scan::each_ledger,
    shards::CommittedShard,
    source,
    work::WorkCounts,
};
use crate::{
    ReportError,
    truth_table::{TruthError, TruthTable},
};
use capfilt_coordinator::outputs::{Version, Versioned, outputs};
use capfilt_schemas::{
    tally::{Tally, TextTally},
    texts::SYNTHETIC,
};
use capfilt_store::{Location, without_secrets};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Choices of a report.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Seed of the samples.
    pub seed: u64,
    /// Truth of texts.
    pub truth: Option<TruthTable>,
}

/// Reads the newest version of a job, or its commits so far. Memory: 1 kB per shard and 1 kB per file, 250 MB
/// for repeated images and texts, the table of truths, and the ledgers that are being read.
///
/// # Errors
/// The job, a ledger or the truths cannot be read, the truths do not fit the job, or the ledgers contradict
/// the tally of the manifest or of the commits.
pub async fn read(bucket: &Location, options: &Options) -> Result<Statistics, ReportError> {
    let (mut committed, mut work, mut tally) = (Vec::new(), WorkCounts::default(), Tally::default());
    let found = outputs(bucket, Version::NewestOrCommitted, |shard, one| {
        work.add(&one.commit);
        tally.merge(&one.commit.tally);
        committed.extend(CommittedShard::of(shard, &one.commit));
    })
    .await?;
    let mut rule = Rule::new(&found.job, &tally, options.seed);
    if let Some(table) = options.truth.clone() {
        let (key, sources) = (found.job.settings.input.key.clone(), rule.sources.clone());
        let truths = spawn_blocking(move || table.read(&key, &sources)).await??;
        rule.truths = Some(Arc::new(truths));
    }
    let rule = Arc::new(rule);
    let (mut counts, mut drift) = (Counts::new(&rule), DriftCounts::new());
    let take = |shard: &CommittedShard, of_shard: Counts| {
        drift.add(&rule.grid, &shard.shard.file.path, shard.shard.id.as_str(), &of_shard);
        counts.merge(of_shard);
    };
    each_ledger(bucket, &committed, &rule, take).await?;
    if let Some(table) = &options.truth {
        check_truths(table, &counts)?;
    }
    let counted = counted(&rule, &counts);
    compare(bucket, "commits", &counted, &rule.renamed(&tally))?;
    if let Some(manifest) = &found.manifest {
        compare(bucket, "manifest", &counted, &rule.renamed(&manifest.tally))?;
    }
    let work = work.finish(bucket).await?;
    let statistics = Parts { found, committed, rule: &rule, counts, drift, tally: counted, work };
    Ok(statistics.join(without_secrets(&bucket.url)))
}

/// Fails unless the table of truths fits the texts of the job, and has some of them.
fn check_truths(table: &TruthTable, counts: &Counts) -> Result<(), TruthError> {
    let known: u64 = counts.texts.iter().flat_map(|texts| &texts.truths).map(|texts| texts.judged).sum();
    let nothing = (known == 0).then(|| "it has the truth of no judged text of the job".to_owned());
    match counts.truth_fault.clone().or(nothing) {
        Some(reason) => Err(TruthError { path: table.path.display().to_string(), reason }),
        None => Ok(()),
    }
}

/// Everything that was read.
struct Parts<'a> {
    found: Versioned,
    committed: Vec<CommittedShard>,
    rule: &'a Rule,
    counts: Counts,
    drift: DriftCounts,
    tally: Tally,
    work: super::Work,
}

impl Parts<'_> {
    fn join(self, url: String) -> Statistics {
        let Self { found, committed, rule, counts, drift, tally, work } = self;
        let manifest = found.manifest.as_ref();
        let quarantined = manifest.map_or(&[][..], |manifest| &manifest.quarantined);
        let galleries = galleries::lists(&counts.samples, &counts.frequent);
        let repeated =
            galleries.iter().filter(|list| list.kind == Kind::Frequent).flat_map(|list| &list.rows);
        Statistics {
            version: VERSION,
            url,
            manifest: manifest.map(|manifest| manifest.n),
            manifest_digest: manifest.map(|manifest| manifest.digest.clone()),
            shards: found.commits,
            planned_shards: found.planned,
            quarantined_rows: quarantined.iter().map(|shard| shard.rows).sum(),
            refused_files: found.job.plan.refused.len() as u64,
            seed: rule.seed,
            rows: tally.rows_total(),
            control: Control { judged: counts.control.all(), at_least: counts.control.at_least() },
            sources: source::of_counts(rule, &counts),
            drift: drift.finish(&rule.grid),
            equal_images: counts.digests.repeated(),
            equal_hashes: counts.hashes.repeated(),
            repeated_texts_missed: counts.frequent.missed(),
            repeated_texts: repeated.map(|row| row.score as u64).collect(),
            work,
            galleries,
            committed,
            positions: rule.grid.clone(),
            clip_positions: rule.clip_grid.clone(),
            job: found.job,
            tally,
        }
    }
}

/// The tally of the counted rows.
fn counted(rule: &Rule, counts: &Counts) -> Tally {
    let of = |(name, texts): (&String, &super::texts::TextCounts)| {
        let tally = TextTally { statuses: texts.statuses.clone(), kept: texts.kept };
        (tally.all() > 0).then(|| (name.clone(), tally))
    };
    let texts = rule.sources.iter().zip(&counts.texts).filter_map(of).collect();
    Tally { rows: counts.rows.clone(), texts, pairs: counts.pairs }
}

/// Fails unless two tallies are equal. Records of version 1 counted captions without their statuses.
fn compare(
    bucket: &Location,
    record: &'static str,
    counted: &Tally,
    recorded: &Tally,
) -> Result<(), ReportError> {
    let without_zeros = |tally: &Tally| {
        let mut tally = tally.clone();
        tally.texts.retain(|_, texts| texts.all() > 0);
        tally
    };
    let (counted, recorded) = (without_zeros(counted), without_zeros(recorded));
    if counted == recorded || counted.clone().as_version_1() == recorded {
        return Ok(());
    }
    let difference = difference(&counted, &recorded);
    Err(ReportError::Unbalanced { url: without_secrets(&bucket.url), record, difference })
}

fn difference(counted: &Tally, recorded: &Tally) -> String {
    let numbers = |tally: &Tally| (tally.rows_total(), tally.judged(), tally.pairs, tally.kept());
    let ((rows, judged, pairs, kept), of_record) = (numbers(counted), numbers(recorded));
    let (rows_of, judged_of, pairs_of, kept_of) = of_record;
    format!(
        "{rows} rows, {judged} judged, {pairs} pairs, {} kept texts and {} kept {SYNTHETIC} captions instead \
         of {rows_of}, {judged_of}, {pairs_of}, {} and {}",
        kept.0, kept.1, kept_of.0, kept_of.1
    )
}
