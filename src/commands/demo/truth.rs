//! `capfilt demo --truth`: accuracy of a job's verdicts on the demo's pictures.

use anyhow::Context as _;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, Failure, outln};
use capfilt_coordinator::{JobState, job, state::commits};
use capfilt_demo_data::{
    known,
    noise::Kind,
    score::{Found, Judgement, Score, Text},
};
use capfilt_pipeline::output::read_ledger;
use capfilt_schemas::{
    ledger::{LedgerRow, Scored},
    object_keys::Table,
    status::RowStatus,
};
use capfilt_store::Location;
use futures::TryStreamExt as _;
use std::path::PathBuf;

pub async fn run(url: &str, input: &[PathBuf], json: bool) -> Ending {
    let mut rows = Vec::new();
    for path in files(input)? {
        rows.extend(known(&path).or_usage_error()?);
    }
    let mut score = Score::of(rows);
    let bucket = Location::open_without_links(url).or_usage_error()?;
    let (_, plan) = job::load(&bucket).await.or_environment_error()?;
    let job_state = JobState::read(&bucket).await.or_environment_error()?;
    let results = commits::read_all(&bucket, &plan, &job_state.committed, job_state.job.as_ref());
    let mut results = std::pin::pin!(results);
    while let Some(result) = results.try_next().await.or_environment_error()? {
        // One shard at a time: memory holds the rows of one ledger.
        for ledger in result.commit.outputs.iter().filter(|output| output.table == Table::Ledger) {
            for row in read_ledger(&bucket, ledger, usize::MAX).await.or_environment_error()? {
                score.add(&judgement(row)).or_usage_error()?;
            }
        }
    }
    let found = score.found();
    if json {
        outln!("{}", serde_json::to_string(&found).or_environment_error()?);
    } else {
        show(&found);
    }
    Ok(Exit::Done)
}

/// Lists the named files, and the Parquet files in named folders.
fn files(input: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in input {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries =
            path.read_dir().with_context(|| format!("cannot list {}", path.display())).or_usage_error()?;
        let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "parquet"));
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

fn judgement(row: LedgerRow) -> Judgement {
    let text = |text: String, scored: Option<Scored>| Text {
        text,
        p_match: scored.map(|scored| scored.itm),
        kept: scored.is_some_and(|scored| scored.kept),
    };
    Judgement {
        key: row.key.unwrap_or_default(),
        status: row.status.to_string(),
        is_judged: row.status == RowStatus::Judged,
        web: text(row.web_text.unwrap_or_default(), row.web_score),
        synthetic: row.synthetic.into_iter().map(|caption| text(caption.text, caption.scored)).collect(),
    }
}

fn show(found: &Found) {
    let Found { rows, input_rows, missing_keys, doubled_keys, .. } = found;
    outln!("{rows} rows of {input_rows}: {missing_keys} missing, {doubled_keys} doubled");
    for (label, share) in [
        ("web texts that are true, as they came", found.web_true_raw),
        ("web texts kept", found.web_kept),
        ("  of these true (precision)", found.web_kept_true),
        ("  of the true ones kept (recall)", found.web_true_kept),
    ] {
        outln!("{label:40} {}", percent(share));
    }
    let kinds = Kind::ALL.into_iter().filter_map(|kind| Some((kind, *found.kept_by_kind.get(&kind)?)));
    let kinds: Vec<String> =
        kinds.map(|(kind, share)| format!("{} {}", kind.name(), percent(share).trim())).collect();
    outln!("{:40}  {}", "kept by kind of web text", kinds.join(", "));
    outln!("{:40}  {}", "P(match), true above swapped (ROC-AUC)", area(found.auc_swapped));
    outln!("{:40}  {}", "P(match), true above unrelated (ROC-AUC)", area(found.auc_unrelated));
    for (label, share) in [
        ("generated captions that are true", found.synthetic_true_raw),
        ("  without a statement to check", found.synthetic_unparsable),
        ("generated captions kept", found.synthetic_kept),
        ("  of these true (precision)", found.synthetic_kept_true),
    ] {
        outln!("{label:40} {}", percent(share));
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or("    –".to_owned(), |share| format!("{share:5.1} %"))
}

fn area(area: Option<f64>) -> String {
    area.map_or("–".to_owned(), |area| format!("{area:.4}"))
}
