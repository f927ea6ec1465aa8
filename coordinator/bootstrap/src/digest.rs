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
    let cleaned = match dataset::open(&bucket, None).await {
        Err(OutputsError::Unfinished { .. } | OutputsError::Job(JobError::NoJob { .. })) => {
            return Ok(None);
        }
        opened => opened.or_environment_error()?,
    };
    let tables = cleaned.tables.iter().map(|table| table.object.sha256.as_bytes());
    Ok(Some(sha256_hex_of_parts(tables)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `model.safetensors` with one tensor of four bytes, and returns the digest.
    fn digest(metadata: &str, numbers: [u8; 4]) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let header = format!(r#"{{{metadata}"w":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}}}"#);
        let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &numbers].concat();
        std::fs::write(folder.path().join("model.safetensors"), file).expect("a file");
        of_model(folder.path()).expect("a digest")
    }

    #[test]
    fn the_digest_of_a_model_covers_its_numbers_and_not_its_lineage() {
        let digests = [
            digest("", [1, 2, 3, 4]),
            digest(r#""__metadata__":{"capfilt":"a folder"},"#, [1, 2, 3, 4]),
            digest("", [1, 2, 3, 5]),
        ];
        assert_eq!(digests[0], digests[1]);
        assert_ne!(digests[0], digests[2]);
    }

    #[test]
    fn a_truncated_file_of_weights_is_an_error_with_its_path() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("model.safetensors");
        for bytes in [&[9, 0][..], &[9, 0, 0, 0, 0, 0, 0, 0, b'{']] {
            std::fs::write(&path, bytes).expect("a file");
            let error = format!("{:#}", of_model(folder.path()).expect_err("the file is truncated").error);
            assert!(error.contains("truncated") && error.contains("model.safetensors"), "{error}");
        }
    }
}
