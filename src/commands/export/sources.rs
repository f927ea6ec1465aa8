//! Opens the sources of an export.

use super::blamed;
use crate::args::ExportArgs;
use capfilt_console::{self as console, ExitCodeExt as _, Failure};
use capfilt_export::{HumanFiles, Place, Source, each_once, quarantined_text};
use capfilt_pipeline::cleaned::Wanted;
use capfilt_runtime::{finished_job, training_data};
use capfilt_schemas::{
    export::{Columns, CutSource, ImagePlace},
    settings::training_data::DataSource,
};
use capfilt_store::{Location, without_secrets};

/// Default column of the row's key.
const KEY: &str = "key";

/// Opens all sources, human pairs first; a source that is given twice is opened once.
pub async fn open(args: &ExportArgs) -> Result<Vec<Source>, Failure> {
    let repeated =
        |url: &str| console::line(format!("{} is given twice; it is read once", without_secrets(url)));
    let mut sources = Vec::with_capacity(args.human.len() + args.job.len());
    for place in each_once(&args.human, repeated).or_usage_error()? {
        sources.push(human(place, args).await?);
    }
    for place in each_once(&args.job, repeated).or_usage_error()? {
        sources.push(job(place, args).await?);
    }
    Ok(sources)
}

async fn human(Place { url, identity }: Place, args: &ExportArgs) -> Result<Source, Failure> {
    let asked = &args.columns;
    let key = asked.key.as_deref().unwrap_or(KEY);
    let source = DataSource::of_files(&url, key, &asked.image, &asked.text, asked.filter.as_deref());
    let shards = training_data::plan(&source, &args.to, training_data::Named::Options).await?;
    let (version, columns) = (training_data::version(&shards, &source), training_data::columns(&source)?);
    let place = Location::open(&url).or_usage_error()?;
    let files = HumanFiles { place, identity, version, shards, columns };
    let columns = Columns {
        key: key.to_owned(),
        image: asked.image.clone(),
        text: asked.text.clone(),
        filter: asked.filter.clone(),
        passthrough: asked.passthrough.clone(),
    };
    let licence = args.samples.licence_column.as_deref();
    blamed(Source::human(files, columns, asked.key.as_deref(), licence).await)
}

async fn job(Place { url, identity }: Place, args: &ExportArgs) -> Result<Source, Failure> {
    let cleaned = finished_job::open(&url, args.cut.as_ref()).await?;
    let quarantined = &cleaned.manifest.quarantined;
    if !quarantined.is_empty() {
        console::line(quarantined_text(&identity, quarantined));
    }
    let referenced = match args.format.images() {
        // Images by reference are not read.
        ImagePlace::Nowhere => None,
        ImagePlace::Inside | ImagePlace::Beside => finished_job::referenced(&cleaned)?,
    };
    let wanted = Wanted { referenced, cosines: true };
    let tables = finished_job::tables(&cleaned)?;
    let place = Location::open_without_links(&url).or_usage_error()?;
    let (texts, passed) = (args.samples.texts, cleaned.settings.input.passthrough);
    let cut = cleaned.cut.map(|cut| CutSource { name: cut.name, sha256: cut.sha256 });
    Ok(Source::job(place, identity, (cleaned.manifest, cut), tables, (texts, passed), wanted))
}
