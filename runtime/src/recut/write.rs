//! Writing of a cut: its tables first, then its record.

use super::{Failed, Ledgers, Preview};
use anyhow::anyhow;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::{
    cuts::{self, CutsError},
    job,
};
use capfilt_schemas::{
    cut::{self, CutName, CutRecord, CutShard},
    job::JobDigest,
    object_keys::{self, AttemptId},
    settings::Images,
    tally::Tally,
};
use capfilt_store::{Location, PutOutcome, without_secrets};
use capfilt_workers::{Recut, ShardLedger};
use std::sync::Arc;

/// Shards that are written at a time. Memory of each: a row group of the input, a row group of the pairs (128
/// MB) and one part of an upload (8 MB).
const SHARDS_AT_ONCE: usize = 8;

/// A cut in the bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The record.
    pub record: CutRecord,
    /// Whether this call wrote the cut; otherwise it existed, with the same rules.
    pub is_new: bool,
}

impl Made {
    /// Lines for people; `bucket` is the location of the job.
    pub(super) fn lines(&self, bucket: &str) -> Vec<String> {
        let CutRecord { name, images_lost, shards, .. } = &self.record;
        let tables = shards.iter().filter(|shard| shard.pairs.is_some()).count();
        let did = if self.is_new { "written" } else { "found; the same cut was written before" };
        let mut lines = vec![
            format!("cut {name}: {did}, {tables} tables"),
            format!("read it with --cut {name}: capfilt export --job {bucket} --cut {name} --to FOLDER"),
        ];
        if *images_lost > 0 {
            lines.push(format!(
                "{images_lost} images of kept rows can no longer be read or have changed since the job; \
                 these rows are not in the cut"
            ));
        }
        lines
    }
}

/// Writes a cut; with `materialise`, its tables have the images. A cut that exists with the same rules is
/// returned unchanged.
///
/// # Errors
/// Another cut has the name, the input cannot be read, or the store fails.
pub(super) async fn write(
    of: &Ledgers,
    preview: &Preview,
    name: &CutName,
    materialise: bool,
) -> Result<Made, Failure> {
    let digest = job::digest(&of.bucket).await.or_environment_error()?;
    let images = if materialise { of.job.settings.output.images } else { Images::Reference };
    if let Some(record) = existing(of, preview, name, images, digest.as_ref()).await? {
        return Ok(Made { record, is_new: false });
    }
    let digest = digest.ok_or_else(|| anyhow!("the job has no job.json")).or_usage_error()?;
    let input = match materialise {
        true => Some(Location::open(&of.job.settings.input.url).or_usage_error()?),
        false => None,
    };
    let (bucket, settings) = (of.bucket.clone(), of.job.settings.clone());
    let recut = Arc::new(Recut { bucket, settings, cut: Arc::clone(&preview.cut), input });
    // No two attempts share a folder, so a killed or a concurrent one cannot mix its tables with these.
    let attempt = AttemptId::from_random(rand::random());
    let (mut shards, mut lost): (Vec<CutShard>, u64) = (Vec::with_capacity(of.shards.len()), 0);
    let work = |ledger: ShardLedger| {
        let path = object_keys::cut_pairs(name, &attempt, &ledger.shard.id);
        let recut = Arc::clone(&recut);
        async move { recut.shard(&ledger, path).await.map_err(Failed::from) }
    };
    of.each(("writing", SHARDS_AT_ONCE), work, |(shard, images): (CutShard, u64)| {
        shards.push(shard);
        lost += images;
    })
    .await?;
    let mut tally = Tally::default();
    shards.iter().for_each(|shard| tally.merge(&shard.tally));
    let record = CutRecord {
        version: cut::VERSION,
        name: name.clone(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        job: digest.clone(),
        manifest: of.manifest.n,
        digest: of.manifest.digest.clone(),
        rules: preview.cut.rules().clone(),
        images,
        tally,
        images_lost: lost,
        shards,
    };
    match cuts::create(&of.bucket, &record).await.or_environment_error()? {
        PutOutcome::Created => Ok(Made { record, is_new: true }),
        // Another process was faster; `capfilt gc` deletes the tables of this one.
        PutOutcome::Exists(_) => match existing(of, preview, name, images, Some(&digest)).await? {
            Some(record) => Ok(Made { record, is_new: false }),
            None => {
                Err(anyhow!("the record of cut {name} vanished; make the cut again")).or_environment_error()
            }
        },
    }
}

/// The cut of this name, if there is one.
async fn existing(
    of: &Ledgers,
    preview: &Preview,
    name: &CutName,
    images: Images,
    job: Option<&JobDigest>,
) -> Result<Option<CutRecord>, Failure> {
    let record = match cuts::read(&of.bucket, name, job).await {
        Err(CutsError::NoSuchCut { .. }) => return Ok(None),
        Err(error @ CutsError::Location(_)) => return Err(error).or_environment_error(),
        found => found.or_usage_error()?.record,
    };
    let difference = if record.rules != *preview.cut.rules() {
        Some("other rules")
    } else if record.digest != of.manifest.digest {
        Some("another version of the job")
    } else if record.images != images {
        Some("another form: with or without --materialise")
    } else {
        None
    };
    match difference {
        None => Ok(Some(record)),
        Some(why) => Err(anyhow!(
            "cut {name} of {} exists with {why}; choose another name: a cut is never changed",
            without_secrets(&of.bucket.url)
        ))
        .or_usage_error(),
    }
}
