//! Checks one committed shard: its record, its objects, and the agreement of its tables.

use super::{Problem, ledger, pairs, problem::redo, quarantine, table};
use crate::state::commits::ShardResult;
use capfilt_schemas::{
    commit::{Commit, Output},
    hash::sha256_hex,
    job::JobDigest,
    object_keys::{self, Table},
    plan::Shard,
    settings::Settings,
};
use capfilt_store::{Location, StoreError};

/// Result of checking one shard.
pub(super) struct Found {
    /// The commit, if it is readable. It counts in the manifest even if its tables are faulty.
    pub counted: Option<ShardResult>,
    pub problems: Vec<Problem>,
}

pub(super) async fn check(
    bucket: &Location,
    (settings, job): (&Settings, Option<&JobDigest>),
    shard: &Shard,
    n: u32,
) -> Result<Found, StoreError> {
    let name = object_keys::commit(&shard.id, n);
    let bytes = bucket.read(&name).await?;
    let is_foreign = |commit: &Commit| job.and_then(|job| job.foreign(commit.job.as_ref()));
    let commit: Commit = match bucket.parse_record(&name, &bytes) {
        Ok(commit) => commit,
        Err(error) => {
            return Ok(Found {
                counted: None,
                problems: vec![Problem::new(name, error.to_string(), redo(shard, n))],
            });
        }
    };
    let mut problems: Vec<Problem> = record_faults(&commit, shard, n)
        .into_iter()
        .map(|what| Problem::new(&name, what, redo(shard, n)))
        .collect();
    if let Some(what) = is_foreign(&commit) {
        let next = "its results belong to another job: move the other job's objects away from here, and run \
                    this job again";
        problems = vec![Problem::new(&name, what, next)];
    }
    // Tables are not worth comparing with a record of another shard or with an inconsistent tally.
    if problems.is_empty() {
        problems = check_outputs(bucket, settings, shard, &commit).await?;
    }
    Ok(Found { counted: Some(ShardResult { n, sha256: sha256_hex(&bytes), commit }), problems })
}

fn record_faults(commit: &Commit, shard: &Shard, n: u32) -> Vec<String> {
    let faults = [
        (commit.shard != shard.id).then(|| format!("it is a copied commit of shard {}", commit.shard)),
        (commit.n != n).then(|| {
            format!("it is a doubled commit: commit {} of its shard under another number", commit.n)
        }),
        (!shard.may_have(commit.rows))
            .then(|| format!("it has {} rows, the plan has {}", commit.rows, shard.rows)),
        commit
            .misnamed()
            .map(|output| format!("it names {}, which is not an object of its attempt", output.path)),
        commit.fault(),
    ];
    faults.into_iter().flatten().collect()
}

async fn check_outputs(
    bucket: &Location,
    settings: &Settings,
    shard: &Shard,
    commit: &Commit,
) -> Result<Vec<Problem>, StoreError> {
    let mut problems = Vec::new();
    let mut whole = Vec::new();
    for output in &commit.outputs {
        match object_fault(bucket, output, "the commit").await? {
            Some(what) => problems.push(Problem::new(&output.path, what, redo(shard, commit.n))),
            None => whole.push(output),
        }
    }
    let of = |table| whole.iter().find(|output| output.table == table).copied();
    let Some(output) = of(Table::Ledger) else {
        // The ledger's problem is reported above, unless the commit names no ledger.
        if commit.outputs.iter().all(|output| output.table != Table::Ledger) {
            problems.push(Problem::new(
                object_keys::commit(&shard.id, commit.n),
                "the commit names no ledger",
                redo(shard, commit.n),
            ));
        }
        return Ok(problems);
    };
    let mut faults = table::Faults::default();
    let expected = ledger::check(bucket, output, shard, commit, settings, &mut faults).await?;
    problems.extend(faults.into_problem(output, shard, commit.n));
    if let Some(output) = of(Table::Pairs) {
        let mut faults = table::Faults::default();
        let images = settings.output.images;
        pairs::check(bucket, output, shard, &expected.kept, images, &mut faults).await?;
        problems.extend(faults.into_problem(output, shard, commit.n));
    }
    if let Some(output) = of(Table::Quarantine) {
        let mut faults = table::Faults::default();
        quarantine::check(bucket, output, &expected.set_aside, &mut faults).await?;
        problems.extend(faults.into_problem(output, shard, commit.n));
    }
    Ok(problems)
}

/// Compares the object's length and digest with the recorded ones; `record` names the record.
pub(super) async fn object_fault(
    bucket: &Location,
    output: &Output,
    record: &str,
) -> Result<Option<String>, StoreError> {
    let measured = match table::measure(bucket, &output.path).await {
        Err(error) if error.is_link() => return Ok(Some(error.to_string())),
        measured => measured?,
    };
    Ok(match measured {
        None => Some("the object is gone".to_owned()),
        Some((bytes, _)) if bytes != output.bytes => {
            Some(format!("the object has {bytes} bytes, {record} recorded {}", output.bytes))
        }
        Some((_, sha256)) if sha256 != output.sha256 => {
            Some(format!("the object's bytes changed: sha256 {sha256}, {record} recorded {}", output.sha256))
        }
        Some(_) => None,
    })
}
