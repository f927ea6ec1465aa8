//! Opens the pairs of a finished job, for training and export.

use crate::release;
use anyhow::anyhow;
use capfilt_console::{ExitCodeExt as _, Failure};
use capfilt_coordinator::{
    cuts::CutsError,
    dataset::{self, Dataset, PairsTable},
    outputs::OutputsError,
};
use capfilt_pipeline::{
    cleaned::{Referenced, ShardTables},
    cut::Cut,
};
use capfilt_schemas::{cut::CutName, settings::Images};
use capfilt_store::{Location, without_secrets};
use std::sync::Arc;

/// Opens the newest version of a job's pairs, or a cut.
///
/// # Errors
/// A failing store is an environment error, any other fault a usage error.
pub async fn open(url: &str, cut: Option<&CutName>) -> Result<Dataset, Failure> {
    let bucket = Location::open_without_links(url).or_usage_error()?;
    release::warn_of(&bucket).await;
    match dataset::open(&bucket, cut).await {
        Err(error @ (OutputsError::Location(_) | OutputsError::Cut(CutsError::Location(_)))) => {
            Err(error).or_environment_error()
        }
        opened => opened.or_usage_error(),
    }
}

/// Location of the images of a job or of a cut; `None` if its tables have the images.
///
/// # Errors
/// When the URL of the input is invalid, and for images that are links.
pub fn referenced(of: &Dataset) -> Result<Option<Arc<Referenced>>, Failure> {
    let settings = &of.settings;
    if of.images() == Images::Embed {
        return Ok(None);
    }
    if settings.links.fetch {
        let (url, next) = (
            without_secrets(&settings.job.url),
            match &of.cut {
                None => "clean with output.images = \"embed\"".to_owned(),
                Some(_) => "make the cut with --materialise".to_owned(),
            },
        );
        return Err(anyhow!(
            "{url} keeps its images as links, and links may have changed since; {next} to train on the \
             images or to export them"
        ))
        .or_usage_error();
    }
    if settings.input.frames.is_some() {
        let url = without_secrets(&settings.job.url);
        return Err(anyhow!(
            "{url} is a job of clips, and exports and training take images; read its pairs, with \
             input.passthrough = [{:?}] in the job's settings for the frames",
            settings.input.image
        ))
        .or_usage_error();
    }
    let input = Location::open(&settings.input.url).or_usage_error()?;
    let (column, image_bytes) = (settings.input.image.clone(), settings.limits.image_bytes.0);
    // The tables of a cut that refers to its images do not have the columns.
    let passthrough = of.cut.as_ref().map(|_| settings.input.passthrough.clone()).unwrap_or_default();
    Ok(Some(Arc::new(Referenced { input, column, image_bytes, passthrough })))
}

/// Tables of the shards.
///
/// # Errors
/// When a newer program made the cut with a condition that this program does not know.
pub fn tables(of: &Dataset) -> Result<Vec<ShardTables>, Failure> {
    let cut = of.cut.as_ref().map(|cut| Cut::new(cut.rules.clone()).map(Arc::new));
    let cut = cut.transpose().or_usage_error()?;
    let table = |of: &PairsTable| ShardTables {
        shard: of.shard.clone(),
        pairs: of.object.clone(),
        ledger: of.ledger.clone(),
        cut: cut.clone(),
    };
    Ok(of.tables.iter().map(table).collect())
}
