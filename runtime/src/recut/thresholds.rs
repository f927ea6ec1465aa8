//! The thresholds of a cut: given, or chosen from the scores.

use super::{COLUMNS_AT_ONCE, Failed, Ledgers, OfSource, Request};
use anyhow::anyhow;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_pipeline::cut::{Cut, Refined, Scores, Tail, each_batch};
use capfilt_schemas::cut::Rules;
use capfilt_workers::ShardLedger;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Columns with the scores, as dotted paths in the Parquet file of a ledger.
const SCORES: [&str; 3] = ["control_itm", "texts.list.item.source", "texts.list.item.itm"];

/// The rules that a request gives for a job. What the request does not say is as in the job.
///
/// # Errors
/// An unknown source, a threshold outside the values of its score, and ledgers that cannot be read.
pub(super) async fn resolve(of: &Ledgers, request: &Request) -> Result<Rules, Failure> {
    let mut rules = Rules::of(&of.job.settings);
    let sources: BTreeSet<String> = rules.sources().into_iter().map(str::to_owned).collect();
    let is_for_all = request.thresholds.iter().any(|threshold| threshold.source.is_none());
    if is_for_all && (!request.top.is_empty() || request.max_random_pass.is_some()) {
        return Err(anyhow!(
            "a --threshold for all sources and --top or --max-random-pass decide the same; give the \
             threshold of one source as --threshold SOURCE=P"
        ))
        .or_usage_error();
    }
    let ranked = chosen(of, request, &rules, &sources).await?;
    rules.thresholds.extend(ranked);
    for (source, threshold) in spread(&request.thresholds, &sources).or_usage_error()? {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(anyhow!("--threshold {source}={threshold}: a threshold is a P(match) from 0 to 1"))
                .or_usage_error();
        }
        rules.thresholds.insert(source, threshold);
    }
    for (source, threshold) in spread(&request.clip_thresholds, &sources).or_usage_error()? {
        check_clip(of, &source, threshold).or_usage_error()?;
        rules.clip_thresholds.insert(source, threshold);
    }
    for (source, keep) in spread(&request.keep, &sources).or_usage_error()? {
        rules.keep.insert(source, keep);
    }
    rules.condition.clone_from(&request.condition);
    Ok(rules)
}

/// Checks a CLIP threshold.
fn check_clip(of: &Ledgers, source: &str, threshold: f64) -> Result<(), Failed> {
    if of.job.settings.models.clip.is_none() {
        return Err(anyhow!("--clip-threshold: the job has no CLIP scores, because it has no models.clip"));
    }
    let is_score = (-100.0..=100.0).contains(&threshold) && !(threshold > 0.0 && threshold < 1.0);
    is_score.then_some(()).ok_or_else(|| {
        anyhow!("--clip-threshold {source}={threshold}: a CLIP score is 100 × the cosine, from -100 to 100")
    })
}

/// The value of each source: a value for all sources, unless there is one for the source.
fn spread<T: Copy>(
    values: &[OfSource<T>],
    sources: &BTreeSet<String>,
) -> Result<BTreeMap<String, T>, Failed> {
    let unknown = |source: &String| {
        let known = sources.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        anyhow!("{source:?} is not a source of texts of the job; its sources are {known}")
    };
    let mut spread = BTreeMap::new();
    for value in values.iter().filter(|value| value.source.is_none()) {
        spread.extend(sources.iter().map(|source| (source.clone(), value.value)));
    }
    for OfSource { source, value } in values {
        let Some(source) = source else { continue };
        spread.insert(sources.get(source).ok_or_else(|| unknown(source))?.clone(), *value);
    }
    Ok(spread)
}

/// Thresholds that a share of the texts or of the negative controls reach; two passes over the scores.
async fn chosen(
    of: &Ledgers,
    request: &Request,
    rules: &Rules,
    sources: &BTreeSet<String>,
) -> Result<BTreeMap<String, f64>, Failure> {
    let top = spread(&request.top, sources).or_usage_error()?;
    if top.is_empty() && request.max_random_pass.is_none() {
        return Ok(BTreeMap::new());
    }
    let cut = Arc::new(Cut::new(rules.clone()).or_usage_error()?);
    let mut scores = Scores::default();
    let first = |ledger: ShardLedger| {
        let count = |scores: &mut Scores, batch: &_| scores.add(batch);
        pass(of.bucket.clone(), ledger, Arc::clone(&cut), Scores::default(), count)
    };
    of.each(("ranking", COLUMNS_AT_ONCE), first, |one| scores.merge(one)).await?;
    let mut ranks = Vec::new();
    for (source, share) in &top {
        let tail = Tail::Source(source.clone());
        if let Some(rank) = share.of(scores.count(&tail)).checked_sub(1) {
            ranks.push((tail, rank));
        }
    }
    ranks
        .extend(request.max_random_pass.map(|share| (Tail::Control, share.of(scores.count(&Tail::Control)))));
    let mut refined = scores.refine(&ranks);
    let empty = refined.clone();
    let second = |ledger: ShardLedger| {
        let count = |refined: &mut Refined, batch: &_| refined.add(batch);
        pass(of.bucket.clone(), ledger, Arc::clone(&cut), empty.clone(), count)
    };
    of.each(("ranking", COLUMNS_AT_ONCE), second, |one| refined.merge(&one)).await?;
    Ok(from_scores(request, &scores, &refined, &top, sources))
}

/// The thresholds of the ranks. With both kinds, the stricter one of a source counts.
fn from_scores(
    request: &Request,
    scores: &Scores,
    refined: &Refined,
    top: &BTreeMap<String, super::Share>,
    sources: &BTreeSet<String>,
) -> BTreeMap<String, f64> {
    let mut thresholds = BTreeMap::new();
    if request.max_random_pass.is_some() && scores.count(&Tail::Control) > 0 {
        // The control of this rank must not pass, so the threshold is the next larger number.
        let least = refined.score(&Tail::Control).map_or(0.0, above);
        thresholds.extend(sources.iter().map(|source| (source.clone(), least)));
    }
    for source in top.keys() {
        // Without a text to keep, only a P(match) of 1 is left.
        let least = refined.score(&Tail::Source(source.clone())).map_or(1.0, f64::from);
        let threshold = thresholds.entry(source.clone()).or_insert(least);
        *threshold = threshold.max(least);
    }
    thresholds
}

/// The next larger score; 1 stays 1.
fn above(score: f32) -> f64 {
    f64::from(score.next_up().min(1.0))
}

/// Counts the scores of one ledger.
async fn pass<T>(
    bucket: capfilt_store::Location,
    of: ShardLedger,
    cut: Arc<Cut>,
    mut counted: T,
    count: fn(&mut T, &arrow::array::RecordBatch),
) -> Result<T, Failed> {
    let leaves = SCORES.map(str::to_owned);
    let add = |batch: &_| {
        count(&mut counted, batch);
        Ok(())
    };
    each_batch(&bucket, &of.ledger, &cut, &leaves, add).await?;
    Ok(counted)
}
