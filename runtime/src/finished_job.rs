//! Opens the pairs of a finished job, for training and export.

use crate::release;
use anyhow::anyhow;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::{
    dataset::{self, Dataset, PairsTable},
    outputs::OutputsError,
};
use capfilt_pipeline::cleaned::{Referenced, ShardTables};
use capfilt_schemas::settings::{Images, Settings};
use capfilt_store::{Location, without_secrets};
use std::sync::Arc;

/// Opens the newest version of a job's pairs.
///
/// # Errors
/// A failing store is an environment error, any other fault a usage error.
pub async fn open(url: &str) -> Result<Dataset, Failure> {
    let bucket = Location::open_without_links(url).or_usage_error()?;
    release::warn_of(&bucket).await;
    match dataset::open(&bucket).await {
        Err(error @ OutputsError::Location(_)) => Err(error).or_environment_error(),
        opened => opened.or_usage_error(),
    }
}

/// Location of a job's images; `None` if its tables have the images.
///
/// # Errors
/// When the URL of the input is invalid, and for a job whose images are links.
pub fn referenced(settings: &Settings) -> Result<Option<Arc<Referenced>>, Failure> {
    if settings.output.images == Images::Embed {
        return Ok(None);
    }
    if settings.links.fetch {
        return Err(anyhow!(
            "{} keeps its images as links (output.images = \"reference\"), and links may have changed since; \
             clean with output.images = \"embed\" to train on the images or to export them",
            without_secrets(&settings.job.url)
        ))
        .or_usage_error();
    }
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let (column, image_bytes) = (settings.input.image.clone(), settings.limits.image_bytes.0);
    Ok(Some(Arc::new(Referenced { input, column, image_bytes })))
}

/// Tables of one shard.
pub fn tables(of: &PairsTable) -> ShardTables {
    ShardTables { shard: of.shard.clone(), pairs: of.object.clone(), ledger: of.ledger.clone() }
}
