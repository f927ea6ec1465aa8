//! Digests of models and jobs; the loop compares them to skip finished steps.

use anyhow::{Context as _, anyhow};
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::{JobError, dataset, outputs::OutputsError};
use capfilt_schemas::hash::sha256_hex_of_parts;
use capfilt_store::Location;
use std::path::Path;

/// Computes the digest of a model's weights: names, shapes and numbers. The lineage in the same file is left
/// out, because it has paths of folders.
pub fn of_model(folder: &Path) -> Result<String, Failure> {
    let path = folder.join("model.safetensors");
    let read = || {
        let bytes = std::fs::read(&path)?;
        let (length, rest) = bytes.split_first_chunk().ok_or_else(|| anyhow!("the file is truncated"))?;
        let (header, numbers) = rest
            .split_at_checked(u64::from_le_bytes(*length) as usize)
            .ok_or_else(|| anyhow!("the file is truncated"))?;
        let mut header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(header)?;
        header.remove("__metadata__");
        let header = serde_json::to_string(&header)?;
        Ok::<_, anyhow::Error>(sha256_hex_of_parts([header.as_bytes(), numbers]))
    };
    read().with_context(|| format!("cannot read the weights {}", path.display())).or_environment_error()
}

/// Computes the digest of a job's pairs tables by its newest manifest. Equal pairs have equal digests, even
/// if other attempts wrote them. `None` when the job is not finished.
pub async fn of_job(url: &str) -> Result<Option<String>, Failure> {
    let bucket = Location::open_without_links(url).or_usage_error()?;
    let cleaned = match dataset::open(&bucket).await {
        Err(OutputsError::Unfinished { .. } | OutputsError::Job(JobError::NoJob { .. })) => {
            return Ok(None);
        }
        opened => opened.or_environment_error()?,
    };
    let tables = cleaned.tables.iter().map(|table| table.object.sha256.as_bytes());
    Ok(Some(sha256_hex_of_parts(tables)))
}
